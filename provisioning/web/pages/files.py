"""An upload's page, its bytes, and the link that a person fixes."""

from flask import Blueprint, Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from provisioning.core import audit
from provisioning.core.errors import NotFound
from provisioning.media import link_service, previews, storage
from provisioning.models import TRIGGERS, Command, TelemetryRecord, Upload, db, utcnow
from provisioning.roles import Permission
from provisioning.translation import gettext
from provisioning.web import audit_notes, auth
from provisioning.web.pages import forms
from provisioning.web.responses import original, send


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/uploads/<ident>", "upload", show)
    blueprint.add_url_rule("/uploads/<ident>/content", "upload_content", content)
    blueprint.add_url_rule("/uploads/<ident>/thumbnail.jpg", "upload_thumbnail", thumbnail)
    blueprint.add_url_rule("/uploads/<ident>/video.mp4", "upload_video", video)
    blueprint.add_url_rule("/uploads/<ident>/link", "fix_link", fix, methods=["POST"])


def _find(ident: str) -> Upload:
    found = db.session.get(Upload, ident)
    if found is None:
        raise NotFound(gettext("There is no such file."))
    return found


def show(ident: str) -> ResponseReturnValue:
    """Show a file and what made it."""
    upload = _find(ident)
    if upload.path:
        audit_notes.saw(upload)
    return _page(upload)


def _page(upload: Upload, problem: str | None = None) -> str:
    requests = db.session.scalars(
        select(Command)
        .where(
            Command.device_id == upload.device_id, Command.kind == "camreq", Command.sending_at.is_not(None)
        )
        .order_by(Command.id.desc())
        .limit(30)
    ).all()
    return render_template(
        "media/file.html", upload=upload, device=upload.device, problem=problem, record=_record(upload),
        triggers=TRIGGERS,
        looked_like=db.session.get(Command, upload.looked_like) if upload.looked_like else None,
        viewers=_viewers(upload),
        requests=[r for r in requests if r.arguments["file_type"] == upload.file_type],
    )  # fmt: skip


def _viewers(upload: Upload) -> list[audit.Viewer]:
    """Give who saw a file, to those who may know it."""
    return audit.viewers([f"upload:{upload.id}"]) if auth.caller().may(Permission.AUDIT) else []


def _record(upload: Upload) -> TelemetryRecord | None:
    return db.session.get(TelemetryRecord, upload.record_id) if upload.record_id else None


def content(ident: str) -> Response:
    """Give the original."""
    upload = _find(ident)
    is_shown = "inline" in request.args
    name = None if is_shown else f"{upload.imei}-{upload.source}-{upload.id}"
    answer = original(storage.media(), upload.path, name, upload.sha256) if upload.path else None
    if answer is None:
        raise NotFound(gettext("The file is not complete yet, or not there any more."))
    (audit_notes.saw if is_shown else audit_notes.downloaded)(upload)
    return answer


def thumbnail(ident: str) -> Response:
    """Give the small picture."""
    return _derived(previews.thumbnail(_find(ident)), "image/jpeg")


def video(ident: str) -> Response:
    """Give the H.264 copy; `download`: to be kept, as the page's button says."""
    upload = _find(ident)
    answer = _derived(previews.video(upload), "video/mp4")
    (audit_notes.downloaded if "download" in request.args else audit_notes.saw)(upload)
    return answer


def _derived(key: str | None, kind: str) -> Response:
    answer = send(storage.media(), key, kind, None, None) if key else None
    if answer is None:
        raise NotFound(gettext("It is still being made."))
    return answer


def fix(ident: str) -> ResponseReturnValue:
    """Correct which request made a file."""
    upload = _find(ident)

    def work() -> str:
        wanted = request.form.get("command", "")
        command = db.session.get(Command, wanted) if wanted else None
        if wanted and command is None:
            raise NotFound(gettext("There is no such request."))
        if not link_service.fix(upload, command, auth.caller().label, utcnow()):
            audit_notes.nothing_done()
        return url_for("pages.upload", ident=ident)

    return forms.once(work, lambda error: (_page(upload, error.message), error.status))
