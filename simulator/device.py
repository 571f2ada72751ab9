"""The SMS side of a virtual vehicle: reads a command, answers in the vendor's own words, or stays silent.

Source of the words: vendor's DualCam SMS commands and FMB SMS/GPRS commands.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from simulator import media
from simulator.vehicle import CapturedFile, Vehicle

CAMERAS = {1: "front", 2: "rear"}
RECONFIGURING = {150, 151, 66001, 66002, 66003}
RECONFIGURATION_SECONDS = 30.0
RESTART_SECONDS = 35.0  # of a camera; the vendor does not say how long it takes
IDENTIFIERS = {(1, 1): "%photof", (1, 2): "%photor", (0, 1): "%videof", (0, 2): "%videor"}


@dataclass
class Wish:
    """What follows from a camreq: files to make, and where to send them."""

    file_type: int
    sources: list[int]
    timestamp: float
    duration: int
    resolution: int
    server: tuple[str, int] | None
    trigger: int = 0  # what made the camera take it; 0: a request by SMS


def answer(vehicle: Vehicle, text: str, scale: float, send: Callable[[Wish], None]) -> list[str]:
    """Give the replies to one SMS, in order; none where the tracker would stay silent."""
    command = _authorised(vehicle, text)
    if command is None:
        return []
    with vehicle.lock:
        for pattern, handler in _COMMANDS:
            if found := re.fullmatch(pattern, command):
                if handler is _camreq:
                    return _camreq(vehicle, found, send)
                if handler in (_setparam, _restart):
                    return handler(vehicle, found, scale)
                return handler(vehicle, found)
    return ["Error: Invalid camera request command!"] if command.startswith("camreq") else []


def _authorised(vehicle: Vehicle, text: str) -> str | None:
    """Take the credentials off; anything but the exact prefix is not obeyed, and not answered."""
    login, password = vehicle.value(3003), vehicle.value(3004)
    prefix = f"{password or ''} " if vehicle.model.startswith("FT") else f"{login} {password} "
    return text[len(prefix) :] if text.startswith(prefix) else None


def _setparam(vehicle: Vehicle, found: re.Match[str], scale: float) -> list[str]:
    taken: dict[int, str] = {}
    warning = False
    for pair in found[1].split(";"):
        number, colon, value = pair.partition(":")
        if not colon or not number.isdigit() or int(number) not in vehicle.parameters:
            warning = True
            continue
        taken[int(number)] = value
    if not taken:
        return ["WARNING: Not supported Param ID or Value detected"]
    if any(n in RECONFIGURING and vehicle.parameters[n] != value for n, value in taken.items()):
        vehicle.reconfiguring_until = time.monotonic() + RECONFIGURATION_SECONDS * scale
    vehicle.parameters.update(taken)
    pairs = ";".join(f"{number}:{value}" for number, value in taken.items())
    if vehicle.new_value_form:
        text = f"New value {pairs}"
    else:
        (first, value), *rest = taken.items()
        text = f"Param ID:{first} Value:{value}" + "".join(f";{n}:{v}" for n, v in rest)
    return [text + (" WARNING: Not supported Param ID or Value detected" if warning else "")]


def _getparam(vehicle: Vehicle, found: re.Match[str]) -> list[str]:
    known = [n for n in map(int, found[1].split(";")) if n in vehicle.parameters]
    if not known:
        return ["Invalid parameter id provided"]
    first, *rest = known
    return [
        f"Param ID:{first} Value:{vehicle.value(first)}" + "".join(f";{n}:{vehicle.value(n)}" for n in rest)
    ]


def _camgetver(vehicle: Vehicle, found: re.Match[str]) -> list[str]:
    said = []
    for source, name in CAMERAS.items():
        is_ready = time.monotonic() >= vehicle.reconfiguring_until
        if is_ready and vehicle.value(151) == "18" and vehicle.has_camera(source) and vehicle.ignition:
            said.append(f"{name.capitalize()} camera V{vehicle.camera_firmware}.")
        else:
            said.append(f"The {name} camera camgetver failed.")
    return [" ".join(said)]


def _sdformat(vehicle: Vehicle, found: re.Match[str]) -> list[str]:
    source = int(found[1])
    good = vehicle.has_camera(source) and not vehicle.faults.no_sd
    return [f"Camera {CAMERAS[source]} SD Card format {'success' if good else 'fail'}"]


def _restart(vehicle: Vehicle, found: re.Match[str], scale: float) -> list[str]:
    source = int(found[1])
    if vehicle.has_camera(source):
        vehicle.reconfiguring_until = time.monotonic() + RESTART_SECONDS * scale
    return [f"Camera {CAMERAS[source]} restart {'success' if vehicle.has_camera(source) else 'fail'}"]


def _getver(vehicle: Vehicle, found: re.Match[str]) -> list[str]:
    return [
        f"Ver:{vehicle.firmware} GPS:AXN_5.1.9_3333_19020118,0000,, Hw:{vehicle.model} Mod:4 IMEI:{vehicle.imei}"
        " Init: 2026-1-1 5:54 Uptime: 16574 BT:1 SPC:0(0) AXL:0 OBD:0 BL:1.6 BT:4"
    ]


def _getinfo(vehicle: Vehicle, found: re.Match[str]) -> list[str]:
    moment = datetime.now(UTC).strftime("%Y/%-m/%-d %-H:%M")
    return [
        f"RTC:{moment} Init:2026/1/1 5:44 UpTime:4744s PWR:PwrVoltage RST:0 GPS:2 SAT:9 TTFF:0 TTLF:0 NOGPS: 1:18"
        " SR:0 FG:200 FL:0 SMS: 3 REC:42 MD:1 DB:0"
    ]


def _getstatus(vehicle: Vehicle, found: re.Match[str]) -> list[str]:
    return [
        "Data Link: 1 GPRS: 1 Phone: 0 SIM: 0 OP: 24602 Signal: 5 NewSMS: 0 Roaming: 0 SMSFull: 0 LAC: 1"
        " Cell ID: 3055 NetType: 3 FwUpd:0"
    ]


def _getio(vehicle: Vehicle, found: re.Match[str]) -> list[str]:
    return [f"DI1:{int(vehicle.ignition)} AIN1:{12650 if vehicle.ignition else 12100} DO1:0"]


def _cpureset(vehicle: Vehicle, found: re.Match[str]) -> list[str]:
    return ["No"]


def _camreq(vehicle: Vehicle, found: re.Match[str], send: Callable[[Wish], None]) -> list[str]:
    wish = _read(vehicle, found[1].split(","))
    if isinstance(wish, str):
        return [wish]
    if refusal := _refusal(vehicle, wish):
        return [refusal]
    kind = "Photo" if wish.file_type == 1 else "Video"
    waiting = [s for s in wish.sources if IDENTIFIERS[wish.file_type, s] in vehicle.files]
    lead = "Already connected. " if vehicle.connected else ""
    if waiting:
        send(wish)
        return [f"{lead}Warning: {kind} already captured previously, trying to send it"]
    number = sum(wish.sources)
    accepted = f"Photo request from source {number}."
    if wish.file_type == 0:
        since = datetime.fromtimestamp(wish.timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S")
        accepted = f"Video request from source {number} for {wish.duration} seconds since {since}."
    send(wish)
    return [accepted]


def _read(vehicle: Vehicle, arguments: list[str]) -> Wish | str:
    if len(arguments) < 2:
        return "Error: Invalid camera request command!"
    if arguments[0] not in ("0", "1"):
        return "Error: Invalid File Type argument in camera request cmd!"
    if arguments[1] not in ("1", "2", "3"):
        return "Error: Invalid File Source argument in camera request cmd!"
    kind, rest = int(arguments[0]), arguments[2:]
    moment, duration = vehicle.now(), 0
    if kind == 0:
        if not rest or not rest[0].isdigit():
            return "Error: Invalid Timestamp argument in camera request cmd!"
        if len(rest) < 2 or not rest[1].isdigit() or not 1 <= int(rest[1]) <= 30:
            return "Error: Invalid Duration argument in camera request cmd!"
        moment, duration, rest = float(rest[0]), int(rest[1]), rest[2:]
    server = vehicle.server
    if len(rest) >= 2 and rest[1].isdigit():
        server = (rest[0] or (server or ("", 0))[0], int(rest[1]))
    resolution = int(rest[2]) - 1 if len(rest) >= 3 and rest[2] in "12345" else int(vehicle.value(66000) or 3)
    sources = [1, 2] if arguments[1] == "3" else [int(arguments[1])]
    return Wish(kind, sources, moment, duration, resolution, server)


def _refusal(vehicle: Vehicle, wish: Wish) -> str | None:
    faults = vehicle.faults
    if vehicle.value(151) != "18":
        return "Error: DualCam is not configured!"
    if time.monotonic() < vehicle.reconfiguring_until:
        return "Cannot send, DualCam configuration is in progress"
    if not vehicle.ignition and vehicle.value(66020) != "1":
        return "Error: Cannot capture because ignition is off"
    present = [source for source in wish.sources if vehicle.has_camera(source)]
    if not present:
        both = faults.front_missing and faults.rear_missing
        return (
            "Error: DualCam not present"
            if both
            else f"Error: {CAMERAS[wish.sources[0]].capitalize()} Camera not present"
        )
    if len(present) < len(wish.sources):
        missing = next(s for s in wish.sources if s not in present)
        return f"Error: {CAMERAS[missing].capitalize()} Camera not present"
    if faults.capture_fails:
        return "Error: capture failed"
    if wish.file_type == 0 and faults.no_sd:
        return "Error: requested file does not exist"
    if wish.file_type == 0 and wish.timestamp + wish.duration > time.time() + 5:
        return "Error: requested file does not exist"
    return None


def capture(vehicle: Vehicle, wish: Wish) -> list[CapturedFile]:
    """Make the files of a request; drawn with the time they were asked for."""
    made = []
    rate = int(vehicle.value(66003) or 30)
    for source in wish.sources:
        name = CAMERAS[source]
        if wish.file_type == 1:
            data = media.photo(
                name, vehicle.name, wish.timestamp, wish.resolution, 100 - int(vehicle.value(66001)) // 2
            )
        else:
            data = media.clip(name, vehicle.name, wish.timestamp, wish.duration, rate)
        moment = wish.timestamp if wish.file_type == 1 else wish.timestamp + vehicle.clock_ahead
        made.append(
            CapturedFile(
                IDENTIFIERS[wish.file_type, source],
                data,
                int(moment * 1000),
                wish.trigger,
                wish.duration,
                rate,
            )
        )
    return made


_COMMANDS: list[tuple[str, Callable[..., list[str]]]] = [
    (r"setparam (.+)", _setparam),
    (r"getparam ([0-9;]+)", _getparam),
    (r"camreq:(.*)", _camreq),
    (r"camgetver", _camgetver),
    (r"camget_sdformat:([12])", _sdformat),
    (r"camget_restart:([12])", _restart),
    (r"getver", _getver),
    (r"getinfo", _getinfo),
    (r"getstatus", _getstatus),
    (r"getio", _getio),
    (r"cpureset", _cpureset),
]
