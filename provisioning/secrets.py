"""Encryption of SMS credentials at rest, and the keyed hash that finds a text again without storing it.

Fernet with key rotation: the first of ENCRYPTION_KEYS encrypts, all decrypt. Nothing here is logged.
"""

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from .config import Config, current_config
from .errors import Unavailable


class Undecryptable(Unavailable):
    """A stored secret opens with none of the configured keys: one was taken away, or a backup had another."""

    code = "key_missing"


def _fernet(config: Config) -> MultiFernet:
    keys = config.encryption_keys or (f"sms-credentials:{config.secret_key}",)
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]
    )


def encrypt(clear: str) -> str:
    """Encrypt a short text with the first key."""
    return _fernet(current_config()).encrypt(clear.encode()).decode()


def decrypt(stored: str | None) -> str:
    """Decrypt what encrypt() made; None gives "". Raises Undecryptable when no configured key opens it."""
    if stored is None:
        return ""
    try:
        return _fernet(current_config()).decrypt(stored.encode()).decode()
    except InvalidToken:
        raise Undecryptable(
            "No key in ENCRYPTION_KEYS opens the SMS login and password of this device. Put the key that they were"
            " stored with back, or enter them anew."
        ) from None


def keyed_hash(text: str) -> str:
    """Give the HMAC-SHA256 of a text under SECRET_KEY, in hex: equal texts are found without being kept."""
    return hmac.new(current_config().secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
