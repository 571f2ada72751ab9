"""Uploads: what they are, which command made them, and their bytes."""

from typing import Any

from flask import Response
from sqlalchemy import select

from provisioning.core.errors import NotFound
from provisioning.media import copy_words, link_service, previews, storage
from provisioning.models import UNSTORED, Upload, UploadState, in_state, utcnow
from provisioning.web import audit_notes, auth
from provisioning.web.api import openapi, shared
from provisioning.web.responses import ORIGINALS, original, send
from provisioning.web.schemas.lists import Page, page_of
from provisioning.web.schemas.uploads import LinkSchema, UploadFilter, UploadResponse

blueprint = openapi.Blueprint("uploads", __name__, description="Files of the cameras")


@blueprint.get("/uploads")
@blueprint.arguments(UploadFilter, location="query")
@blueprint.response(200, page_of(UploadResponse))
def list_uploads(given: dict[str, Any]) -> Page:
    """List uploads, newest first."""
    query = select(Upload)
    if "imei" in given:
        query = query.where(Upload.imei == given["imei"])
    if "command" in given:
        query = query.where(Upload.command_id == given["command"])
    if "state" in given:
        state = UploadState(given["state"])
        query = query.where(in_state(state))
        if state is not UploadState.STORED:
            query = query.where(UNSTORED)  # said twice, for the index
    return shared.page(query, Upload.id, given)


@blueprint.get("/uploads/<ident>")
@blueprint.response(200, UploadResponse)
def get_upload(ident: str) -> Upload:
    """Show an upload and what made it."""
    return shared.upload(ident)


@blueprint.patch("/uploads/<ident>/link")
@blueprint.arguments(LinkSchema)
@blueprint.response(200, UploadResponse)
def fix_link(given: dict[str, Any], ident: str) -> Upload:
    """Say which command made a file, or that none did; no rule changes it afterwards."""
    upload = shared.upload(ident)
    command = shared.command(given["command"]) if given["command"] is not None else None
    if not link_service.fix(upload, command, auth.caller().label, utcnow()):
        audit_notes.nothing_done()
    return upload


@blueprint.get("/uploads/<ident>/content")
@blueprint.file(*ORIGINALS.values(), "application/octet-stream")
def get_content(ident: str) -> Response:
    """Give the original, byte for byte as the camera sent it."""
    upload = shared.upload(ident)
    if upload.path is None:
        raise NotFound(f"The file is not complete yet ({upload.state}).", code="not_ready")
    name = f"{upload.imei}-{upload.source}-{upload.id}"
    answer = original(storage.media(), upload.path, name, upload.sha256)
    if answer is None:
        raise NotFound("The file is not in the media store any more.", code="gone")
    audit_notes.downloaded(upload)
    return answer


@blueprint.get("/uploads/<ident>/thumbnail.jpg")
@blueprint.file("image/jpeg")
def get_thumbnail(ident: str) -> Response:
    """Give a small picture of a photo or video."""
    upload = shared.upload(ident)
    return _derived(upload, previews.thumbnail(upload), "image/jpeg")


@blueprint.get("/uploads/<ident>/video.mp4")
@blueprint.file("video/mp4")
def get_video(ident: str) -> Response:
    """Give the H.264 copy of a video."""
    upload = shared.upload(ident)
    if upload.file_type != "video":
        raise NotFound("This is a photo.")
    answer = _derived(upload, previews.video(upload), "video/mp4")
    audit_notes.downloaded(upload)
    return answer


def _derived(upload: Upload, key: str | None, kind: str) -> Response:
    answer = send(storage.media(), key, kind, None, None) if key else None
    if answer is None:
        problem = upload.derived_error
        text = copy_words.problem(problem) if problem else "It is being made; try again in some seconds."
        raise NotFound(text, code="unreadable" if upload.derived_error else "not_ready")
    return answer
