"""Composes the SMS of a command: its text in an envelope, one segment each, as few as possible.

Called by the plan (texts and lengths before the click) and by what sends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioning.tracker.language.command import TypedCommand
from provisioning.tracker.language.masking import mask
from provisioning.tracker.language.sms_envelope import LONGEST_SMS, SmsEnvelope
from provisioning.tracker.language.unsendable import UnsendableText
from provisioning.tracker.parameters import CATALOGUE, Parameter


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


def compose(
    command: TypedCommand, envelope: SmsEnvelope, catalogue: Mapping[int, Parameter] = CATALOGUE
) -> tuple[Sms, ...]:
    """Write the SMS of a command, in the order of sending; setparam and getparam are split where needed.

    Raises UnsendableText, with what to do, for a text that would begin with a blank, does not fit or
    holds characters outside GSM-7.
    """
    envelope.wrap("")  # what is wrong with the credentials is said before anything is said of the command

    def fits(part: TypedCommand) -> bool:
        return envelope.fits(part.encode(), part.longest_reply(catalogue))

    messages = []
    for part in command.split(fits):
        text = part.encode()
        length = envelope.places(text)
        if length > LONGEST_SMS:
            raise UnsendableText("sms_too_long", length=length, longest=LONGEST_SMS)
        messages.append(Sms(part, envelope.wrap(text), envelope.shown(mask(text)), length))
    return tuple(messages)
