"""What the API and the pages both need of HTTP: the error shape, and sending files."""

from typing import Any

from flask import Response, send_file
from werkzeug.exceptions import HTTPException

from receiver.media import Media

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


def send(media: Media, key: str, kind: str, name: str | None, etag: str | None) -> Response | None:
    """Send a file with ranges and caching, or the way to it where the store serves it; None if it is not there."""
    path = media.path(key)
    if path is None:
        link = media.link(key, kind, name)
        if link is None:
            return None
        answer = Response(status=302, headers={"Location": link})
        answer.headers["Cache-Control"] = "private, max-age=300"  # the link lives longer
        return answer
    answer = send_file(
        path, mimetype=kind, download_name=name, as_attachment=name is not None, conditional=True,
        etag=etag or True, max_age=3600,
    )  # fmt: skip
    answer.headers["Cache-Control"] = "private, max-age=3600"
    return answer


def original(media: Media, key: str, name: str | None, etag: str | None) -> Response | None:
    """Send an original; `name` without its ending, None to show it in the page."""
    ending = key.rpartition(".")[2]
    kind = ORIGINALS.get(ending, "application/octet-stream")
    return send(media, key, kind, name and f"{name}.{ending}", etag)
