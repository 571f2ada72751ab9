"""The envelope of a command that travels as SMS: credentials in front, blanks, the alphabet, 160 places.

What the command itself says is no part of it; a command that travels otherwise has another envelope. Fails closed: what
a tracker would not understand, or a gateway would change, is never made. Source: the vendor's SMS/GPRS command pages;
Twilio's Smart Encoding for the figure space.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from provisioning.tracker.language.unsendable import UnsendableText
from provisioning.tracker.parameters import SECRET_SHOWN, outside_gsm7, septets

LONGEST_SMS = 160  # 7-bit places of one segment; that a tracker joins segments is unproven
FIGURE_SPACE = "\u2007"  # Twilio's Smart Encoding turns one into two ASCII spaces


class CredentialStyle(StrEnum):
    """How a tracker wants its credentials: FM login and password, FT a password only."""

    FM = "fm"
    FT = "ft"


def credential_style(model: str | None) -> CredentialStyle:
    """Return the style by the model; every DualCam host, and a device without a model, is FM."""
    return CredentialStyle.FT if (model or "").strip().upper().startswith("FT") else CredentialStyle.FM


@dataclass(frozen=True, slots=True)
class SmsEnvelope:
    """What an SMS adds to a command: the tracker's login and password, in its style, as the gateway passes them on.

    `keeps_spaces`: the gateway keeps leading blanks. `figure_space`: it turns one U+2007 into two.
    """

    login: str = field(repr=False)  # so that no log or traceback shows it
    password: str = field(repr=False)
    style: CredentialStyle
    keeps_spaces: bool = False
    figure_space: bool = False

    def front(self) -> str:
        """Give what stands before a command: "login password ", two blanks where an FM tracker has neither.

        Raises UnsendableText.
        """
        for secret in (self.login, self.password):
            if not secret.isascii() or any(
                not character.isprintable() or character == " " for character in secret
            ):
                raise UnsendableText("credentials_unsendable")
        return _front(self.login, self.password, self.style)

    def places(self, text: str) -> int:
        """Give the 7-bit places of a command's text with what stands before it. Raises UnsendableText."""
        return _places(self.front() + text)

    def fits(self, text: str, longest_reply: int) -> bool:
        """Say whether a command's text and its reply take one SMS each. Raises UnsendableText."""
        return longest_reply <= LONGEST_SMS and self.places(text) <= LONGEST_SMS

    def wrap(self, text: str) -> str:
        """Give a command's text as the gateway gets it. Raises UnsendableText, with what to do."""
        return _sendable(self.front(), self.keeps_spaces, self.figure_space) + text

    def shown(self, text: str) -> str:
        """Give a command's text as people see it, with dots for login and password."""
        return _front(_dots(self.login), _dots(self.password), self.style) + text


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
    raise UnsendableText("blank_first")


def _places(text: str) -> int:
    if stray := outside_gsm7(text):
        raise UnsendableText("not_gsm7", character=stray)
    return septets(text)
