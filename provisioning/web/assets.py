"""Static files: an address that changes with the content, so that browsers keep them for ever, and one compression.

Templates name a file by `asset("app.css")`. A name without the hash is served too, for what browsers ask for by
themselves. Files are read and compressed once in a process, when the first request needs them.
"""

import functools
import gzip
import hashlib
import mimetypes
import re
from pathlib import Path

import brotli
from flask import Flask, Response, request, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin

from provisioning.core.errors import NotFound
from provisioning.translation import gettext

FOLDER = Path(__file__).parents[2] / "static"
HASHED = re.compile(r"(?P<stem>.+)\.(?P<hash>[0-9a-f]{12})(?P<ending>\.[a-z0-9]+)")
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "public, no-cache"
TEXTS = frozenset({"text/css", "text/javascript", "image/svg+xml", "application/manifest+json"})
mimetypes.add_type("application/manifest+json", ".webmanifest")


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions, without one for static files: their answers would differ by cookie, and be fetched again."""

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie, and say that the answer depends on it."""
        if request.endpoint != "static":
            super().save_session(app, session, response)


def init_app(app: Flask) -> None:
    """Serve the files, and give templates the addresses."""
    app.session_interface = Sessions()
    app.add_url_rule("/static/<path:name>", "static", serve)
    app.jinja_env.globals["asset"] = address


def address(name: str) -> str:
    """Give the address of a file in the folder `static`. Raises NotFound."""
    stem, dot, ending = name.rpartition(".")
    return url_for("static", name=f"{stem}.{_digest(name)}{dot}{ending}")


def serve(name: str) -> Response:
    """Give a file, compressed as the browser takes it.

    A hash of another version (a page of before or after an update) gets the present file, which the browser then does
    not keep.
    """
    hashed = HASHED.fullmatch(name)
    plain = f"{hashed['stem']}{hashed['ending']}" if hashed else name
    kind = mimetypes.guess_type(plain)[0] or "application/octet-stream"
    is_text = kind in TEXTS
    coding = (
        request.accept_encodings.best_match(("br", "gzip", "identity"), "identity") if is_text else "identity"
    )
    answer = Response(_content(plain, coding), mimetype=kind)
    answer.headers["Cache-Control"] = FOR_EVER if hashed and hashed["hash"] == _digest(plain) else ASK_AGAIN
    answer.set_etag(f"{_digest(plain)}-{coding}")
    if is_text:
        answer.vary.add("Accept-Encoding")
    if coding != "identity":
        answer.content_encoding = coding
    answer.make_conditional(request)
    return answer


@functools.cache
def _files() -> dict[str, Path]:
    """Give every file by its name from the folder on: nothing outside it can be asked for."""
    return {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}


@functools.cache
def _digest(name: str) -> str:
    return hashlib.sha256(_content(name, "identity")).hexdigest()[:12]


@functools.cache
def _content(name: str, coding: str) -> bytes:
    if coding == "br":
        return brotli.compress(_content(name, "identity"), quality=9)
    if coding == "gzip":
        return gzip.compress(_content(name, "identity"), 9)
    path = _files().get(name)
    if path is None:
        raise NotFound(gettext("There is no such file."))
    return path.read_bytes()
