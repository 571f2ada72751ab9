"""The SMS logins and passwords of a device in clear: those of its row, of a change of them, and of a sent SMS."""

from provisioning.core import encryption
from provisioning.core.sms_capabilities import sms_capabilities
from provisioning.models import Command, Device, Transport
from provisioning.tracker import language
from provisioning.tracker.language import SmsEnvelope
from provisioning.tracker.parameters import id_of

LOGIN, PASSWORD = str(id_of("sms_login")), str(id_of("sms_password"))
Pair = tuple[str, str]  # login and password in clear


def pair(device: Device, which: str) -> Pair:
    """Give a device's login and password in clear: "current" or "pending"."""
    if which == "pending":
        return encryption.decrypt(device.pending_login), encryption.decrypt(device.pending_password)
    return encryption.decrypt(device.sms_login), encryption.decrypt(device.sms_password)


def envelope(device: Device, which: str = "current") -> SmsEnvelope:
    """Give the envelope of an SMS to a device with one of its pairs, as the gateway in use passes it on."""
    able = sms_capabilities()
    return SmsEnvelope(
        *pair(device, which),
        language.credential_style(device.model),
        keeps_spaces=able.keeps_leading_spaces,
        figure_space=able.figure_space,
    )


def secrets(device: Device | None) -> tuple[str, ...]:
    """Give what must be dots in the texts of a device: the logins and passwords of both pairs, in clear."""
    if device is None:
        return ()
    return tuple(secret for which in ("current", "pending") for secret in pair(device, which) if secret)


def is_change(command: Command) -> bool:
    """Say whether a command sets the device's SMS login and password."""
    return "encrypted" in command.arguments


def pair_set_by(change: Command) -> Pair:
    """Give the pair that a change of credentials brings, in clear, from its own arguments."""
    encrypted = change.arguments["encrypted"]
    return encryption.decrypt(encrypted[LOGIN]), encryption.decrypt(encrypted[PASSWORD])


def fingerprint(device: Device, which: str) -> str:
    """Give by what an attempt remembers the login and password that its SMS carries."""
    return fingerprint_of(pair(device, which))


def sent_fingerprint(command: Command) -> str | None:
    """Give the fingerprint of the pair that a command was last sent with; only an SMS carries one and proves it."""
    attempt = command.attempt
    return attempt.sent_with if attempt is not None and attempt.transport == Transport.SMS else None


def fingerprint_of(pair: Pair) -> str:
    """Give by what an attempt remembers a pair: nobody can read it back."""
    return encryption.keyed_hash("\0".join(pair))[:32]


def encrypted_pair(pair: Pair) -> Pair:
    """Give a pair as the row of its device keeps it."""
    return encryption.encrypt(pair[0]), encryption.encrypt(pair[1])
