"""What a command would cost, how long it would take and what stands in its way, before it is asked for.

Changes nothing. Called by the API and the pages, with what they would give to `submission.ask`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from provisioning.commands import command_words, duplicates, sms_prices, submission
from provisioning.commands.submission import Requester
from provisioning.core.config import current_config
from provisioning.core.prices import Price
from provisioning.devices import cabin_rule, durations, measured_times, status_table
from provisioning.devices.durations import Estimate, Wanted
from provisioning.models import OPEN, Command, Device, Upload, db
from provisioning.tracker import language
from provisioning.tracker.language import CamReq, SetParam, Sms, TypedCommand
from provisioning.tracker.parameters import find_warnings
from provisioning.translation import gettext


@dataclass(frozen=True, slots=True)
class PreviewWarning:
    """Something that may hinder a command, and does not forbid it."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a command would do.

    `size` is in bytes, 0 where no file comes to this service. `blocked_by` is the command that must end first;
    `already_here` a stored file that the command asks for.
    """

    messages: tuple[Sms, ...]
    price: Price | None
    size: int
    ready_in: Estimate
    warnings: tuple[PreviewWarning, ...] = ()
    blocked_by: Command | None = None
    already_here: Upload | None = None


def preview(
    device: Device, name: str, arguments: Mapping[str, Any], requester: Requester, now: datetime
) -> Preview:
    """Say what a command would do, without asking for it.

    Raises CommandErrors, ParameterErrors, Forbidden, Invalid, and Conflict where no SMS can be composed.
    """
    asked = submission.typed_from(name, arguments, now)
    submission.demand_permission(asked, requester)
    cabin_rule.refuse(device, asked)
    if isinstance(asked, CamReq):
        return _files(device, asked, requester, now)
    messages = submission.preview(device, asked)
    return Preview(
        messages,
        sms_prices.price(device, len(messages)),
        0,
        durations.answered_in(len(messages), measured_times.of_replies(device)),
        warnings=tuple(_parameter_warnings(device, asked)),
        blocked_by=_in_flight(device),
    )


def _files(device: Device, asked: CamReq, requester: Requester, now: datetime) -> Preview:
    asked, foreign = submission.with_server(device, asked, requester, current_config())
    messages = submission.preview(device, asked)
    cameras = len(language.cameras(asked.source))
    parts = tuple(asked.requests())
    wanted = Wanted(asked.file_type, asked.duration, cameras, len(parts))
    measured = measured_times.of(device)
    duplicate = next(filter(None, (duplicates.find_duplicate(device, one, foreign) for one in parts)), None)
    stored = {} if foreign else _stored(device, parts)
    here = db.session.get(Upload, next(iter(stored.values()))) if stored else None
    return Preview(
        messages,
        sms_prices.price(device, len(messages)),
        0 if foreign else durations.expected_bytes(wanted, measured),
        durations.ready_in(wanted, measured),
        warnings=tuple(_warnings(device, asked, now)),
        blocked_by=duplicate or _capturing(device),
        already_here=here,
    )


def _stored(device: Device, parts: Sequence[CamReq]) -> dict[str, str]:
    """Give what is here of the first part of which something is."""
    return next(filter(None, (duplicates.stored(device, one) for one in parts)), {})


def _capturing(device: Device) -> Command | None:
    """Give the request for files that has to end before the next one is sent."""
    waiting = db.session.scalars(
        select(Command).where(
            Command.device_id == device.id, Command.kind == CamReq.name, Command.state.in_(OPEN)
        )
    )
    return min(waiting, key=lambda row: row.id, default=None)


def _in_flight(device: Device) -> Command | None:
    return db.session.scalar(select(Command).where(Command.device_id == device.id, Command.in_flight))


def _parameter_warnings(device: Device, asked: TypedCommand) -> Iterator[PreviewWarning]:
    if isinstance(asked, SetParam):
        known = status_table.known_parameters(device.id)
        for warning in find_warnings(asked.parameters, known=known, firmware=device.firmware):
            yield PreviewWarning(warning.code, warning.text)


def _without_card(health_code: str) -> str:
    """Say what is known of the card that a clip needs."""
    if health_code == "faulty_card":
        return gettext("A clip needs an SD card that works; the one in the vehicle is faulty.")
    return gettext("A clip needs an SD card that works; the vehicle is known to have none.")


def _warnings(device: Device, asked: CamReq, now: datetime) -> Iterator[PreviewWarning]:
    if status_table.cameras_may_sleep(device, now):
        yield PreviewWarning(
            "ignition_off", gettext("The ignition is off, and the cameras work with the ignition on only.")
        )
    if device.reconfiguring_until is not None and device.reconfiguring_until > now:
        yield PreviewWarning(
            "camera_restarting",
            gettext(
                "The camera starts again, or takes over new settings; the request waits until that is done."
            ),
        )
    if asked.file_type == "video" and device.health_code in ("no_card", "faulty_card"):
        yield PreviewWarning("no_card", _without_card(device.health_code))
    if slow := submission.too_slow(device, asked, current_config()):
        yield PreviewWarning("too_slow", command_words.sentence(slow))
