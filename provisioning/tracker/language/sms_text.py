"""From a command to the SMS that carry it: credentials in front, one segment each, as few as possible.

Fails closed: what a tracker would not understand, or a gateway would change, is never made. Called by
the plan (texts and lengths before the click) and by the outbox. Source: the
vendor's SMS/GPRS command pages; Twilio's Smart Encoding for the figure space.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from provisioning.tracker.language.definitions import Command, GetParam, SetParam
from provisioning.tracker.language.encoding import UnsendableText, encode
from provisioning.tracker.language.masking import mask
from provisioning.tracker.parameters import CATALOGUE, SECRET_SHOWN, Parameter, outside_gsm7, septets

LONGEST_SMS = 160  # 7-bit places of one segment; that a tracker joins segments is unproven
LONGEST_UNKNOWN_VALUE = 55  # a domain, the longest text the vendor's parameter lists name
FIGURE_SPACE = "\u2007"  # Twilio's Smart Encoding turns one into two ASCII spaces

Part = TypeVar("Part")


class Family(StrEnum):
    """How a tracker wants its credentials: FM login and password, FT a password only."""

    FM = "fm"
    FT = "ft"


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS ready for the gateway.

    `text` is what the gateway gets, credentials included; `masked` the same for people; `length` the
    7-bit places that reach the tracker.
    """

    command: Command
    text: str = field(repr=False)  # so that no log or traceback shows it
    masked: str
    length: int


def family(model: str | None) -> Family:
    """Tell the family by the model; every DualCam host, and a device without a model, is FM."""
    return Family.FT if (model or "").strip().upper().startswith("FT") else Family.FM


def prefix(login: str, password: str, family: Family) -> str:
    """Return what stands before a command: "login password ", two blanks where an FM tracker has neither."""
    for secret in (login, password):
        if not secret.isascii() or any(
            not character.isprintable() or character == " " for character in secret
        ):
            raise UnsendableText(
                "The device's SMS login or password holds a blank or a character that an SMS command cannot"
                " carry: correct it at the device's page."
            )
    return _front(login, password, family)


def compose(
    command: Command,
    *,
    login: str,
    password: str,
    family: Family,
    keeps_spaces: bool = False,
    figure_space: bool = False,
    catalogue: Mapping[int, Parameter] = CATALOGUE,
) -> tuple[Sms, ...]:
    """Write the SMS of a command, in the order of sending; setparam and getparam are split where needed.

    `keeps_spaces`: the gateway keeps leading blanks. `figure_space`: it turns one U+2007 into two.
    Raises UnsendableText, with what to do, for a text that would begin with a blank, does not fit or
    holds characters outside GSM-7.
    """
    front = prefix(login, password, family)
    sent = _sendable(front, keeps_spaces, figure_space)
    shown = _front(_dots(login), _dots(password), family)
    messages = []
    for part in _split(command, front, catalogue):
        body = encode(part)
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


def _front(login: str, password: str, family: Family) -> str:
    return f"{password} " if family is Family.FT else f"{login} {password} "


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


def _split(command: Command, front: str, catalogue: Mapping[int, Parameter]) -> Iterator[Command]:
    if isinstance(command, SetParam) and command.parameters:
        pairs = list(command.parameters.items())
        for group in _groups(pairs, lambda few: _places(front + encode(SetParam(dict(few)))) <= LONGEST_SMS):
            yield SetParam(dict(group))
    elif isinstance(command, GetParam) and command.parameters:
        for ids in _groups(list(command.parameters), lambda few: _asks_little(front, few, catalogue)):
            yield GetParam(tuple(ids))
    else:
        yield command


def _groups(items: list[Part], fits: Callable[[list[Part]], bool]) -> Iterator[list[Part]]:
    # Filling each SMS before the next begins gives the fewest, as long as the order is kept.
    group: list[Part] = []
    for item in items:
        if group and not fits([*group, item]):
            yield group
            group = []
        group.append(item)
    yield group


def _asks_little(front: str, ids: list[int], catalogue: Mapping[int, Parameter]) -> bool:
    values = [catalogue[id].longest if id in catalogue else LONGEST_UNKNOWN_VALUE for id in ids]
    reply = len("Param ID: Value:") + sum(
        len(str(id)) + length for id, length in zip(ids, values, strict=True)
    )
    reply += len(";:") * (len(ids) - 1)
    return reply <= LONGEST_SMS and _places(front + encode(GetParam(tuple(ids)))) <= LONGEST_SMS
