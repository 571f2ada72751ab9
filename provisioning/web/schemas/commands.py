"""Commands by name. `tracker.language` checks their arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from marshmallow import INCLUDE, fields, validate

from provisioning.commands import command_words
from provisioning.commands.request_preview import Preview
from provisioning.devices.durations import Basis
from provisioning.models import Command, ShownState, Upload
from provisioning.web.schemas.lists import ListFilter
from provisioning.web.schemas.request_fields import Readable
from provisioning.web.schemas.response_fields import (
    Boolean,
    ByKey,
    Count,
    Many,
    Number,
    One,
    ResponseSchema,
    Text,
    Texts,
    Time,
    Word,
)
from provisioning.web.schemas.uploads import UploadResponse


class CommandSchema(Readable):
    """A command by name; its other fields are its arguments."""

    class Meta:
        unknown = INCLUDE

    command = fields.String(required=True)


class CommandFilter(ListFilter):
    """A list of commands."""

    state = fields.String(validate=validate.OneOf([state.value for state in ShownState]))


@dataclass(frozen=True, slots=True)
class ShownCommand:
    """A command with its files; `batch`: the ids of all commands of one request that took several SMS."""

    command: Command
    uploads: Sequence[Upload] = ()
    batch: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class ShownPreview:
    """What a command would do, and the command that has to end first."""

    preview: Preview
    blocked_by: ShownCommand | None


class CommandErrorResponse(ResponseSchema):
    """Why a command failed, and whether asking again helps. Made from the row of the command."""

    code = Text("error_code")
    message = Text(lambda command: command_words.said(command.error), null=True)
    retry = Boolean(lambda command: bool(command.error_retry))


class HistoryResponse(ResponseSchema):
    """A state that a command came into."""

    at = Text(itemgetter("at"), format="date-time")
    state = Word(ShownState, itemgetter("state"))
    note = Text(lambda step: command_words.said(step["note"]), null=True)


def _arguments(command: Command) -> dict[str, Any]:
    return {} if "encrypted" in command.arguments else command.arguments


def _result(command: Command) -> dict[str, Any] | None:
    result = command.result
    if result is None or "replies" not in result:
        return result
    replies = [reply | {"sentence": command_words.reply_sentence(reply)} for reply in result["replies"]]
    return result | {"replies": replies}


class CommandResponse(ResponseSchema):
    """A command: what was asked, how far it is, what the device answered and which files came."""

    row = "command"

    id = Text()
    imei = Text("device.imei")
    command = Text("kind")
    arguments = ByKey(_arguments)
    state = Word(ShownState, "shown_state")
    text = Text(about="the SMS, login and password as dots")
    length = Count()
    reply = Text(null=True)
    result = ByKey(_result, null=True, about="what its replies said, as values")
    match = Word(("certain", "probable"), null=True, about="how sure it is that the reply is of this command")
    error = One(CommandErrorResponse, lambda command: command if command.error_code else None, null=True)
    note = Text(lambda command: command_words.said(command.note), null=True)
    late = Boolean(about="it was done after it had ended")
    uploads = Many(UploadResponse, beside=True)
    history = Many(HistoryResponse)
    requested_by = Text()
    parent = Text("parent_id", null=True, about="the setparam that it reads back")
    batch = Texts(beside=True, null=True, about="all commands of one request that took several SMS")
    created_at = Time()
    updated_at = Time()
    expires_at = Time(null=True)


class CommandsResponse(ResponseSchema):
    """The commands of one request."""

    commands = Many(CommandResponse, lambda commands: commands)


class PlannedSmsResponse(ResponseSchema):
    """An SMS that would be sent."""

    text = Text("masked", about="login and password as dots")
    length = Count(most=160)


class PriceResponse(ResponseSchema):
    """A price."""

    amount = Number(lambda price: float(price.amount))
    currency = Text(about="ISO 4217")


class EstimateResponse(ResponseSchema):
    """How long something is likely to take, in seconds."""

    seconds = Count()
    low = Count()
    high = Count()
    basis = Word(Basis, about="what the estimate rests on")


class WarningResponse(ResponseSchema):
    """Something that may hinder a command."""

    code = Text()
    text = Text()


class PreviewResponse(ResponseSchema):
    """What a command would do."""

    row = "preview"

    messages = Many(PlannedSmsResponse)
    sms = Count(lambda preview: len(preview.messages))
    price = One(PriceResponse, null=True)
    megabytes = Number(
        lambda preview: round(preview.size / 1e6, 2), about="of the files that are likely to come here"
    )
    ready_in = One(EstimateResponse)
    warnings = Many(WarningResponse)
    blocked_by = One(CommandResponse, beside=True, null=True, about="the command that has to end first")
    already_here = One(UploadResponse, null=True, about="a stored file that the command asks for")
