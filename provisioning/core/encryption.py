"""Encryption of SMS credentials at rest, and the keyed hash that finds a text again without storing it.

Fernet with key rotation: the first of ENCRYPTION_KEYS encrypts, all decrypt. Nothing here is logged.
"""

import base64
import functools
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from provisioning.core.config import Config, current_config
from provisioning.core.errors import Unavailable
from provisioning.phrase import Phrase
from provisioning.translation import N_, gettext

NO_KEY = N_(
    "No key in ENCRYPTION_KEYS opens the SMS login and password of this vehicle. Put the key that they"
    " were stored with back, or enter them anew."
)


class Undecryptable(Unavailable):
    """A stored secret opens with none of the configured keys: one was taken away, or a backup had another."""

    code = "key_missing"


LONG = (
    32  # characters: a key that long is taken as random; a shorter one may be a phrase that somebody made up
)
SALT = b"dualcam encryption key"


def _fernet(config: Config) -> MultiFernet:
    keys = config.encryption_keys or (f"sms-credentials:{config.secret_key}",)
    return MultiFernet([fernet for key in keys for fernet in _made_of(key)])


@functools.lru_cache
def _made_of(key: str) -> list[Fernet]:
    """Give what encrypts and decrypts with a key; further ones only decrypt what earlier versions stored."""
    plain = hashlib.sha256(key.encode()).digest()
    found = [plain]
    if len(key) < LONG:
        found.insert(0, hashlib.scrypt(key.encode(), salt=SALT, n=2**14, r=8, p=1, dklen=32))
    return [Fernet(base64.urlsafe_b64encode(derived)) for derived in found]


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
        raise Undecryptable(gettext(NO_KEY), phrase=Phrase("key_missing")) from None


def renew(stored: str) -> str:
    """Encrypt what is stored anew, with the first key. Raises Undecryptable."""
    return encrypt(decrypt(stored))


def keyed_hash(text: str) -> str:
    """Give the HMAC-SHA256 of a text under SECRET_KEY, in hex: equal texts are found without being kept."""
    return hmac.new(current_config().secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
