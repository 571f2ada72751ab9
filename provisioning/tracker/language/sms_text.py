"""Composes the SMS of a command: credentials in front, one segment each, as few as possible.

Fails closed: what a tracker would not understand, or a gateway would change, is never made. Called by
the plan (texts and lengths before the click) and by the outbox. Source: the
vendor's SMS/GPRS command pages; Twilio's Smart Encoding for the figure space.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from provisioning.tracker.language.command import TypedCommand, UnsendableText
from provisioning.tracker.language.masking import mask
from provisioning.tracker.parameters import CATALOGUE, SECRET_SHOWN, Parameter, outside_gsm7, septets

LONGEST_SMS = 160  # 7-bit places of one segment; that a tracker joins segments is unproven
FIGURE_SPACE = "\u2007"  # Twilio's Smart Encoding turns one into two ASCII spaces


class CredentialStyle(StrEnum):
    """How a tracker wants its credentials: FM login and password, FT a password only."""

    FM = "fm"
    FT = "ft"


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS ready for the gateway.

    `text` is what the gateway gets, credentials included; `masked` the same for people; `length` the
    7-bit places that reach the tracker.
    """

    command: TypedCommand
    text: str = field(repr=False)  # so that no log or traceback shows it
    masked: str
    length: int


def credential_style(model: str | None) -> CredentialStyle:
    """Return the style by the model; every DualCam host, and a device without a model, is FM."""
    return CredentialStyle.FT if (model or "").strip().upper().startswith("FT") else CredentialStyle.FM


def prefix(login: str, password: str, style: CredentialStyle) -> str:
    """Return what stands before a command: "login password ", two blanks where an FM tracker has neither."""
    for secret in (login, password):
        if not secret.isascii() or any(
            not character.isprintable() or character == " " for character in secret
        ):
            raise UnsendableText(
                "The device's SMS login or password holds a blank or a character that an SMS command cannot"
                " carry: correct it at the device's page."
            )
    return _front(login, password, style)


def compose(
    command: TypedCommand,
    *,
    login: str,
    password: str,
    style: CredentialStyle,
    keeps_spaces: bool = False,
    figure_space: bool = False,
    catalogue: Mapping[int, Parameter] = CATALOGUE,
) -> tuple[Sms, ...]:
    """Write the SMS of a command, in the order of sending; setparam and getparam are split where needed.

    `keeps_spaces`: the gateway keeps leading blanks. `figure_space`: it turns one U+2007 into two.
    Raises UnsendableText, with what to do, for a text that would begin with a blank, does not fit or
    holds characters outside GSM-7.
    """
    front = prefix(login, password, style)
    sent = _sendable(front, keeps_spaces, figure_space)
    shown = _front(_dots(login), _dots(password), style)

    def fits(part: TypedCommand) -> bool:
        is_answered_in_one = part.longest_reply(catalogue) <= LONGEST_SMS
        return is_answered_in_one and _places(front + part.encode()) <= LONGEST_SMS

    messages = []
    for part in command.split(fits):
        body = part.encode()
        length = _places(front + body)
        if length > LONGEST_SMS:
            raise UnsendableText(
                f"This command takes {length} characters with login and password, and an SMS holds"
                f" {LONGEST_SMS}: shorten its longest value."
            )
        messages.append(Sms(part, sent + body, shown + mask(body), length))
    return tuple(messages)


def _dots(secret: str) -> str:
    return SECRET_SHOWN if secret else ""


def _front(login: str, password: str, style: CredentialStyle) -> str:
    return f"{password} " if style is CredentialStyle.FT else f"{login} {password} "


def _sendable(front: str, keeps_spaces: bool, figure_space: bool) -> str:
    blanks = len(front) - len(front.lstrip(" "))
    if not blanks or keeps_spaces:
        return front
    if figure_space and blanks % 2 == 0:
        return FIGURE_SPACE * (blanks // 2) + front[blanks:]
    raise UnsendableText(
        "Without an SMS login and password the command begins with a blank, which the SMS gateway removes,"
        " and the tracker would not obey. Set a login and a password first, with the Configurator or from"
        " the installer's own phone, and enter them at the device."
    )


def _places(text: str) -> int:
    if stray := outside_gsm7(text):
        raise UnsendableText(
            f"The character {stray} is not in the alphabet of a single SMS (GSM-7): choose another value."
        )
    return septets(text)
