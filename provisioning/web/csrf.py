"""The CSRF token of forms, masked anew in every page.

Pages are compressed: a secret that stood in each of them in the same way could be guessed from their lengths (BREACH).
A masked token is a random pad and the token combined with it.
"""

import base64
import binascii
import os

from flask import Flask, g
from flask_wtf.csrf import CSRFProtect, generate_csrf


class MaskedCSRFProtect(CSRFProtect):
    """Flask-WTF's protection that takes masked tokens."""

    def init_app(self, app: Flask) -> None:
        """Protect the app, and give templates masked tokens."""
        super().init_app(app)
        app.jinja_env.globals["csrf_token"] = token
        app.context_processor(lambda: {"csrf_token": token})

    def _get_csrf_token(self) -> str | None:
        return _unmask(super()._get_csrf_token() or "")


def token() -> str:
    """Give the token of this page, the same for all its forms."""
    masked = g.get("masked_csrf_token")
    if masked is None:
        clear = generate_csrf().encode()
        pad = os.urandom(len(clear))
        masked = g.masked_csrf_token = base64.urlsafe_b64encode(pad + _combined(pad, clear)).decode()
    return str(masked)


def _unmask(masked: str) -> str | None:
    """Give the token; None where this is none."""
    try:
        both = base64.b64decode(masked, altchars=b"-_", validate=True)
        half = len(both) // 2
        return _combined(both[:half], both[half:]).decode() or None
    except (binascii.Error, ValueError):
        return None


def _combined(pad: bytes, data: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(pad, data, strict=True))
