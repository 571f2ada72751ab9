"""Warns of values that are allowed but may not do what their author hopes. Warnings never block.

Each check reads a `_Plan`: what is asked, what the device confirmed before, its firmware if known. The code of a
warning is for programs, its text is shown beside the parameter in plan, provision and setparam.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from provisioning.tracker.parameters.catalogue import CATALOGUE
from provisioning.tracker.parameters.firmware import firmware_at_least
from provisioning.tracker.parameters.labels import as_integer, describe, titled
from provisioning.tracker.parameters.lookup import CREDENTIALS, SENDS_BY_ITSELF, by_key, id_of
from provisioning.translation import N_, gettext

# Vendor's guide: a photo of 1280x720 takes about 18 s to send.
PHOTO_SECONDS = 18

_VIDEO_SOURCES = {2: "video_source_din1", 4: "video_source_din2", 8: "video_source_crash"}


class WarningCode(StrEnum):
    """What a warning is about."""

    BATTERY = "battery"
    BOTH_CAMERAS = "both_cameras"
    FIRMWARE_TOO_OLD = "firmware_too_old"
    FLOODS_LINK = "floods_link"
    FOOTAGE_LOST = "footage_lost"
    NO_CODEC_8_EXTENDED = "no_codec_8_extended"
    NO_EFFECT = "no_effect"
    NO_VIDEO_SOURCE = "no_video_source"
    NOT_DEFAULT = "not_default"
    OTHER_SERVER = "other_server"
    UNDOCUMENTED = "undocumented"
    WRONG_PORT_MODE = "wrong_port_mode"


@dataclass(frozen=True, slots=True)
class ParameterWarning:
    """A warning about a parameter, by its key."""

    code: WarningCode
    parameter: str
    text: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """Values by parameter key."""

    asked: Mapping[str, int | str]
    known: Mapping[str, int | str]
    firmware: str | None
    server_advice: str | None

    def value(self, key: str) -> int | None:
        """Return what the device will hold, None where nobody knows."""
        return as_integer(self.asked.get(key, self.known.get(key)))

    def asks(self, key: str) -> int | None:
        return as_integer(self.asked.get(key))

    def too_old(self, since: str) -> bool:
        return self.firmware is not None and firmware_at_least(self.firmware, since) is False


def find_warnings(
    parameters: Mapping[int, int | str],
    *,
    known: Mapping[int, int | str] | None = None,
    firmware: str | None = None,
    server_advice: str | None = None,
) -> tuple[ParameterWarning, ...]:
    """Return warnings for a set that `validate` or `complete` has passed.

    `known` are values that the device confirmed before; `firmware` is a version or a getver reply.
    `server_advice` says how to set the vehicle's own camera server; None where that is known to be ours.
    """
    if not parameters or set(parameters) <= CREDENTIALS:
        return ()
    plan = _Plan(by_key(parameters), by_key(known or {}), firmware, server_advice)
    return tuple(warning for check in _CHECKS for warning in check(plan))


def texts_by_id(warnings: Iterable[ParameterWarning]) -> dict[str, list[str]]:
    """Return the texts of warnings by parameter id (as text), as the API and the forms show them."""
    found: dict[str, list[str]] = {}
    for warning in warnings:
        found.setdefault(str(id_of(warning.parameter)), []).append(warning.text)
    return found


def _own_server(plan: _Plan) -> Iterator[ParameterWarning]:
    for id in SENDS_BY_ITSELF if plan.server_advice is not None else ():
        if plan.value(CATALOGUE[id].key):
            yield ParameterWarning(WarningCode.OTHER_SERVER, CATALOGUE[id].key, plan.server_advice or "")


def _serial_port(plan: _Plan) -> Iterator[ParameterWarning]:
    mode, port = plan.value("rs232_mode"), plan.value("external_uart_mode")
    if mode not in (None, 18):
        yield ParameterWarning(
            WarningCode.WRONG_PORT_MODE,
            "rs232_mode",
            gettext(
                "With %(mode)s the serial port is not in DualCam mode: the cameras do not work. They need"
                " DualCam (18).",
                mode=mode,
            ),
        )
    if port not in (None, 1):
        yield ParameterWarning(
            WarningCode.WRONG_PORT_MODE,
            "external_uart_mode",
            gettext(
                "With %(mode)s the serial port is not RS232: the cameras do not work. They need RS232 (1).",
                mode=port,
            ),
        )
    if plan.asks("rs232_baud_rate"):
        yield ParameterWarning(
            WarningCode.NOT_DEFAULT,
            "rs232_baud_rate",
            gettext(
                "DualCam works with the default speed: leave this at 0 unless the vendor says otherwise."
            ),
        )


def _data_protocol(plan: _Plan) -> Iterator[ParameterWarning]:
    concerned = plan.asked.keys() & {"data_protocol", "rs232_mode", "image_trigger", "video_trigger"}
    protocol = plan.value("data_protocol")
    if concerned and protocol != 1:
        said = (
            N_(
                "%(protocol)s is not known to be Codec 8 Extended: without it the states of the cameras"
                " and what triggered never arrive."
            )
            if protocol is None
            else N_(
                "%(protocol)s is not Codec 8 Extended: without it the states of the cameras and what"
                " triggered never arrive."
            )
        )
        yield ParameterWarning(
            WarningCode.NO_CODEC_8_EXTENDED,
            "data_protocol",
            gettext(said, protocol=titled(id_of("data_protocol"))),
        )


def _image_trigger(plan: _Plan) -> Iterator[ParameterWarning]:
    if plan.asks("image_trigger"):
        yield ParameterWarning(
            WarningCode.BOTH_CAMERAS,
            "image_trigger",
            gettext("An image trigger always sends the pictures of both cameras."),
        )


def _video_triggers(plan: _Plan) -> Iterator[ParameterWarning]:
    mask, trigger_id = plan.value("video_trigger") or 0, id_of("video_trigger")
    for bit, key in _VIDEO_SOURCES.items():
        name = CATALOGUE[trigger_id].bits[bit]
        source = plan.value(key)
        if mask & bit and not source and plan.asked.keys() & {"video_trigger", key}:
            said = (
                N_(
                    "%(trigger)s triggers a clip, but %(source)s is “None”: nothing is recorded. Choose"
                    " the cameras there."
                )
                if source == 0
                else N_(
                    "%(trigger)s triggers a clip, but %(source)s is not set, so probably “None”: nothing"
                    " is recorded. Choose the cameras there."
                )
            )
            yield ParameterWarning(
                WarningCode.NO_VIDEO_SOURCE,
                "video_trigger" if "video_trigger" in plan.asked else key,
                gettext(said, trigger=gettext(name), source=titled(id_of(key))),
            )
        if plan.asks(key) and not mask & bit:
            yield ParameterWarning(
                WarningCode.NO_EFFECT,
                key,
                gettext(
                    "This does nothing without %(trigger)s in %(parameter)s.",
                    trigger=gettext(name),
                    parameter=titled(trigger_id),
                ),
            )


def _scenario(plan: _Plan) -> Iterator[ParameterWarning]:
    if plan.asks("scenario_mode") != 1:
        return
    yield ParameterWarning(
        WarningCode.BATTERY,
        "scenario_mode",
        gettext(
            "Always mode wakes the tracker often, which costs battery; it needs cameras on a permanent"
            " supply and never works in Ultra sleep."
        ),
    )
    if plan.too_old("03.27.03.Rev.105"):
        yield ParameterWarning(
            WarningCode.FIRMWARE_TOO_OLD,
            "scenario_mode",
            gettext("The tracker's firmware works with the ignition on only: Always needs 03.27.03.Rev.105."),
        )


def _time_zone(plan: _Plan) -> Iterator[ParameterWarning]:
    zone = plan.asks("camera_time_zone")
    if zone is None:
        return
    if as_integer(plan.known.get("camera_time_zone")) != zone:
        yield ParameterWarning(
            WarningCode.FOOTAGE_LOST,
            "camera_time_zone",
            gettext("Changing the time zone makes footage recorded before unreachable by its time."),
        )
    if zone > 480:
        yield ParameterWarning(
            WarningCode.UNDOCUMENTED,
            "camera_time_zone",
            gettext("Above 480 nothing is documented: read the value back and check the time of a file."),
        )


def _periodic(plan: _Plan) -> Iterator[ParameterWarning]:
    cameras, interval = plan.value("periodic_image"), plan.value("periodic_image_interval")
    if plan.asks("periodic_image") in (2, 3) and plan.too_old("03.27.03.Rev.04"):
        yield ParameterWarning(
            WarningCode.FIRMWARE_TOO_OLD,
            "periodic_image",
            gettext(
                "The tracker's firmware knows only on and off here: %(value)s needs 03.27.03.Rev.04.",
                value=describe(id_of("periodic_image"), cameras or 0),
            ),
        )
    concerned = plan.asked.keys() & {"periodic_image", "periodic_image_interval"}
    needed = PHOTO_SECONDS * (2 if cameras == 3 else 1)
    if concerned and cameras != 0 and interval is not None and interval < needed:
        yield ParameterWarning(
            WarningCode.FLOODS_LINK,
            "periodic_image_interval" if "periodic_image_interval" in plan.asked else "periodic_image",
            gettext(
                "A photo every %(interval)s s floods a 2G link: at 1280x720 sending takes about %(needed)s s, and"
                " photos are skipped while one is being sent.",
                interval=interval,
                needed=needed,
            ),
        )


def _first_firmware(plan: _Plan) -> Iterator[ParameterWarning]:
    for key in plan.asked:
        since = CATALOGUE[id_of(key)].since
        if since and plan.too_old(since):
            yield ParameterWarning(
                WarningCode.FIRMWARE_TOO_OLD,
                key,
                gettext(
                    "The tracker's firmware is too old for this parameter: update it first (%(since)s or newer).",
                    since=since,
                ),
            )


_CHECKS = (
    _own_server,
    _serial_port,
    _data_protocol,
    _image_trigger,
    _video_triggers,
    _scenario,
    _time_zone,
    _periodic,
    _first_firmware,
)
