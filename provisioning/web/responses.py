"""HTTP responses that API and pages share: the error shape, and the delivery of files."""

import io
from typing import Any

from flask import Response, request, send_file
from werkzeug.exceptions import HTTPException
from werkzeug.wsgi import FileWrapper

from provisioning.core.config import current_config
from provisioning.core.errors import Invalid, NotFound, Unavailable
from provisioning.tracker.normalization import CONTROL
from provisioning.translation import gettext
from receiver.store.media_store import Media, MediaError

CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
FORM_MAX = 128 * 1024  # bytes; the longest that people fill in is a tenth of it
ORIGINALS = {"jpg": "image/jpeg", "h265": "video/h265", "mp4": "video/mp4"}  # types by ending


def error_body(error: HTTPException) -> dict[str, Any]:
    """Give the error shape of an HTTP error; marshmallow's messages by field."""
    data = getattr(error, "data", None) or {}
    messages = data.get("messages") or {}
    errors: dict[str, list[str]] = {}
    for location in messages.values():
        for field, texts in location.items() if isinstance(location, dict) else [("body", location)]:
            _flatten(str(field), texts, errors)
    message = "Some fields are wrong." if errors else (error.description or error.name)
    return {"code": CODES.get(error.code or 500, "error"), "message": message, "errors": errors}


def _flatten(name: str, texts: Any, into: dict[str, list[str]]) -> None:
    if isinstance(texts, dict):
        for key, value in texts.items():
            _flatten(f"{name}.{key}" if name != "_schema" else str(key), value, into)
    else:
        found = texts if isinstance(texts, list) else [texts]
        into.setdefault("body" if name == "_schema" else name, []).extend(str(text) for text in found)


def kept_headers(error: HTTPException) -> dict[str, str]:
    """Give the headers that an error must carry."""
    return {
        name: value for name, value in error.get_headers() or [] if name.lower() in ("allow", "retry-after")
    }


def bound_forms() -> None:
    """Take smaller forms than other bodies: each of their fields, which may be two bytes long, costs time."""
    if request.mimetype in FORMS:
        request.max_content_length = FORM_MAX


def refuse_control_characters() -> None:
    """Refuse a path, query or form with a character that is no text, before any view or database sees it.

    JSON is looked at by its schema. Webhooks carry the words of devices, from which such characters are left out.
    Raises NotFound for the path, Invalid naming the fields.
    """
    if CONTROL.search(request.path):
        raise NotFound(gettext("There is nothing at this address."))
    if request.path.startswith("/webhooks/"):
        return
    errors = {
        CONTROL.sub("?", name)[:40]: [
            gettext("This holds a character that is no text (NUL, or another control character).")
        ]
        for given in (request.args, request.form)
        for name, value in given.items(multi=True)
        if CONTROL.search(name) or CONTROL.search(value)
    }
    if errors:
        raise Invalid(gettext("Some fields hold characters that are no text."), errors=errors)


PIECE = 1024 * 1024  # bytes of a bucket's file in memory for each that is being sent


# what a camera sent is shown, and never run, embedded or asked for more
MEDIA_POLICY = (
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline';"
    " frame-ancestors 'none'; sandbox"
)


def send(
    media: Media, key: str, kind: str, name: str | None, etag: str | None, *, may_redirect: bool = True
) -> Response | None:
    """Send a file with ranges and caching, or the way to it where the store serves it; None if it is not there.

    `may_redirect`: false where the way to it must not outlive the right to see it. Raises Unavailable while the store
    is away.
    """
    answer = _send(media, key, kind, name, etag, may_redirect)
    if answer is not None:
        answer.headers["Content-Security-Policy"] = MEDIA_POLICY
        answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _send(
    media: Media, key: str, kind: str, name: str | None, etag: str | None, may_redirect: bool
) -> Response | None:
    path = media.path(key)
    if path is None:
        try:
            return _send_remote(media, key, kind, name, etag, may_redirect)
        except MediaError as error:
            raise Unavailable(gettext("The media store cannot be reached; try again later.")) from error
    answer = send_file(
        path,
        mimetype=kind,
        download_name=name,
        as_attachment=name is not None,
        conditional=True,
        etag=etag or True,
        max_age=3600,
    )
    answer.headers["Cache-Control"] = "private, max-age=3600"
    return answer


def _send_remote(
    media: Media, key: str, kind: str, name: str | None, etag: str | None, may_redirect: bool
) -> Response | None:
    size = media.size(key)
    if size is None:
        return None
    is_served_there = may_redirect and current_config().media_delivery == "redirect"
    if is_served_there and (link := media.link(key, kind, name)):
        answer = Response(status=302, headers={"Location": link})
        answer.headers["Cache-Control"] = "private, max-age=300"  # the link lives longer
        return answer
    pieces = FileWrapper(_Remote(media, key, size), PIECE // 4)  # type: ignore[arg-type]
    answer = Response(pieces, mimetype=kind, direct_passthrough=True)
    answer.content_length = size
    answer.set_etag(etag or f"{key.replace('/', '-')}-{size}")
    answer.headers["Cache-Control"] = "private, max-age=3600"
    if name is not None:
        answer.headers.set("Content-Disposition", "attachment", filename=name)
    answer.make_conditional(request.environ, accept_ranges=True, complete_length=size)
    return answer


class _Remote(io.RawIOBase):
    """A file in a bucket, read piece by piece from wherever a range begins."""

    def __init__(self, media: Media, key: str, size: int) -> None:
        self._media, self._key, self._size = media, key, size
        self._at, self._piece, self._begin = 0, b"", 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, count: int = -1) -> bytes:
        """Give bytes, none at the end. Raises MediaError: the answer then breaks off, short of its length."""
        if self._at >= self._size:
            return b""
        if not self._begin <= self._at < self._begin + len(self._piece):
            self._begin = self._at
            self._piece = self._media.read(self._key, self._at, PIECE) or b""
            if not self._piece:
                raise MediaError("The file went while it was sent.")
        inside = self._at - self._begin
        data = self._piece[inside:] if count < 0 else self._piece[inside : inside + count]
        self._at += len(data)
        return data


def original(
    media: Media, key: str, name: str | None, etag: str | None, *, may_redirect: bool = True
) -> Response | None:
    """Send an original; `name` without its ending, None to show it in the page."""
    ending = key.rpartition(".")[2]
    kind = ORIGINALS.get(ending, "application/octet-stream")
    return send(media, key, kind, name and f"{name}.{ending}", etag, may_redirect=may_redirect)
