"""From JSON or a form to a command and back: one gate, errors by argument name, in sentences for people.

Times: `now` and results in Unix seconds. Who may ask for what, and which servers are allowed, is decided
by the caller. Source: design contract `POST /devices/{imei}/commands`, vendor's camreq arguments.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from provisioning.tracker.language.definitions import (
    COMMANDS,
    PLAIN,
    RESOLUTIONS,
    CamGetRestart,
    CamGetSdFormat,
    CamReq,
    Command,
    FileType,
    GetParam,
    Server,
    SetParam,
    Source,
)
from provisioning.tracker.normalization import clean_host, clean_text
from provisioning.tracker.parameters import CATALOGUE, Parameter, as_integer, host_problem, validate

LONGEST_VIDEO = 30  # seconds, vendor's camreq table
EARLIEST = 946_684_800  # 2000-01-01: what lies before is no moment that a camera has recorded
MILLISECONDS_FROM = 100_000_000_000  # as seconds that is the year 5138


class CommandErrors(ValueError):
    """Refused arguments; `errors` maps an argument name to sentences for people."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in errors.items()))
        self.errors = errors


class _Refused(ValueError):
    pass


class _Arguments:
    """Collects what each reader says about its argument, so that all errors come at once."""

    def __init__(self, given: Mapping[str, Any], allowed: tuple[str, ...], name: str) -> None:
        self.given = given
        self.errors: dict[str, list[str]] = {
            str(key)[:40]: [f"{name} has no such argument. It takes: {', '.join(allowed) or 'nothing'}."]
            for key in given
            if key not in allowed
        }

    def read(self, name: str, reader: Callable[[Any], Any], *, required: bool = False) -> Any:
        """Return the argument as its reader makes it; None where it is missing, null or refused."""
        value = self.given.get(name)
        if value is None:
            if required:
                self.refuse(name, "This is needed.")
            return None
        try:
            return reader(value)
        except _Refused as refused:
            self.refuse(name, str(refused))
            return None

    def refuse(self, name: str, sentence: str) -> None:
        self.errors.setdefault(name, []).append(sentence)

    def raise_errors(self) -> None:
        if self.errors:
            raise CommandErrors(self.errors)


def from_arguments(
    name: str, arguments: Mapping[str, Any], *, now: int, catalogue: Mapping[int, Parameter] = CATALOGUE
) -> Command:
    """Make a command from its name and its JSON arguments (those of the contract, without `command`).

    Raises CommandErrors with every fault by argument name, or ParameterErrors for the values of a setparam.
    """
    if name not in COMMANDS:
        raise CommandErrors({"command": [f"There is no such command. Known: {', '.join(COMMANDS)}."]})
    if not isinstance(arguments, Mapping):
        raise CommandErrors({"arguments": ["Give an object of argument names and values."]})
    if name in PLAIN:
        _Arguments(arguments, (), name).raise_errors()
        return PLAIN[name]()
    if name == CamReq.name:
        return _camreq(arguments, now)
    if name == SetParam.name:
        return _setparam(arguments, catalogue)
    if name == GetParam.name:
        return _getparam(arguments, catalogue)
    return _camera_action(name, arguments)


def to_arguments(command: Command) -> dict[str, Any]:
    """Write a command as the JSON that `from_arguments` reads; for 3003 and 3004 it holds the secrets."""
    if isinstance(command, SetParam):
        values = {str(id): value for id, value in command.parameters.items()}
        return {"parameters": values} | _raw_if_needed(command.parameters)
    if isinstance(command, GetParam):
        return {"parameters": list(command.parameters)} | _raw_if_needed(command.parameters)
    if isinstance(command, CamGetSdFormat | CamGetRestart):
        return {"camera": command.camera.value}
    if isinstance(command, CamReq):
        server = command.server and {"domain": command.server.domain, "port": command.server.port}
        optional = {
            "timestamp": command.timestamp,
            "duration": command.duration,
            "server": server,
            "resolution": command.resolution,
        }
        required = {"file_type": command.file_type.value, "source": command.source.value}
        return required | {key: value for key, value in optional.items() if value is not None}
    return {}


def _raw_if_needed(ids: Any) -> dict[str, bool]:
    return {} if all(id in CATALOGUE for id in ids) else {"raw": True}


def _setparam(arguments: Mapping[str, Any], catalogue: Mapping[int, Parameter]) -> SetParam:
    given = _Arguments(arguments, ("parameters", "raw"), SetParam.name)
    raw = given.read("raw", _boolean)
    parameters = given.read("parameters", lambda value: value, required=True)
    if parameters is not None and not isinstance(parameters, Mapping):
        given.refuse("parameters", "Give an object of parameter id and value.")
    elif parameters is not None and not parameters:
        given.refuse("parameters", "Give at least one parameter.")
    given.raise_errors()
    return SetParam(validate(parameters, raw=bool(raw), catalogue=catalogue))


def _getparam(arguments: Mapping[str, Any], catalogue: Mapping[int, Parameter]) -> GetParam:
    given = _Arguments(arguments, ("parameters", "raw"), GetParam.name)
    raw = given.read("raw", _boolean)

    def ids(value: Any) -> tuple[int, ...]:
        if not isinstance(value, list | tuple) or not value:
            raise _Refused("Give a list of parameter ids, like [151, 66000].")
        numbers = [as_integer(item) for item in value]
        if any(number is None or not 1 <= number <= 99_999_999 for number in numbers):
            raise _Refused("A parameter id is a whole number from 1 to 99999999.")
        known = [number for number in numbers if number is not None]
        if len(set(known)) < len(known):
            raise _Refused("A parameter id is given twice.")
        if strangers := [str(number) for number in known if number not in catalogue and not raw]:
            raise _Refused(f"The catalogue has no {', '.join(strangers[:5])}. Check the number, or use raw.")
        return tuple(known)

    parameters = given.read("parameters", ids, required=True)
    given.raise_errors()
    return GetParam(parameters)


def _camera_action(name: str, arguments: Mapping[str, Any]) -> CamGetSdFormat | CamGetRestart:
    given = _Arguments(arguments, ("camera",), name)
    camera = given.read("camera", _choice(Source.FRONT, Source.REAR), required=True)
    given.raise_errors()
    return CamGetSdFormat(camera) if name == CamGetSdFormat.name else CamGetRestart(camera)


def _camreq(arguments: Mapping[str, Any], now: int) -> CamReq:
    given = _Arguments(
        arguments, ("file_type", "source", "timestamp", "duration", "resolution", "server"), CamReq.name
    )
    file_type = given.read("file_type", _choice(*FileType), required=True)
    source = given.read("source", _choice(*Source), required=True)
    resolution = given.read("resolution", _resolution)
    server = _read_server(given)
    video = file_type is FileType.VIDEO
    timestamp = given.read("timestamp", _timestamp, required=video)
    duration = given.read("duration", _duration, required=video)
    if file_type is FileType.PHOTO:
        for name in ("timestamp", "duration"):
            if arguments.get(name) is not None:
                given.errors[name] = [
                    f"A photo is taken now and has no {name}: leave it out, or ask for a video."
                ]
    if video and arguments.get("resolution") is not None:
        given.errors["resolution"] = ["Only a photo has a resolution: leave it out."]
    if video and timestamp is not None and duration is not None and timestamp + duration > now:
        given.refuse("timestamp", _future(timestamp, duration, now))
    given.raise_errors()
    # "configured" is the camera's own choice: sending nothing says so in every form of the command.
    return CamReq(
        file_type, source, timestamp, duration, server, None if resolution == "configured" else resolution
    )


def _future(timestamp: int, duration: int, now: int) -> str:
    return (
        f"The video would end at {_utc(timestamp + duration)}, which has not come yet (it is {_utc(now)})."
        f" Begin at {_utc(now - duration)} or earlier."
    )


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _choice(*allowed: Any) -> Callable[[Any], Any]:
    names = {member.value: member for member in allowed}

    def read(value: Any) -> Any:
        if isinstance(value, str) and value in names:
            return names[value]
        raise _Refused(f"Give one of: {', '.join(names)}.")

    return read


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _Refused("Give true or false.")


def _resolution(value: Any) -> str:
    if isinstance(value, str) and value in RESOLUTIONS:
        return value
    raise _Refused(f"Give one of: {', '.join(RESOLUTIONS)}.")


def _duration(value: Any) -> int:
    number = as_integer(value)
    if number is None or not 1 <= number <= LONGEST_VIDEO:
        raise _Refused(f"Give whole seconds from 1 to {LONGEST_VIDEO}.")
    return number


def _timestamp(value: Any) -> int:
    number = as_integer(value)
    if number is None:
        number = _iso_8601(value)
    if number >= MILLISECONDS_FROM:
        raise _Refused("This looks like milliseconds: give Unix seconds (divide by 1000).")
    if number < EARLIEST:
        raise _Refused("This lies before the year 2000: give Unix seconds or ISO 8601 with a time zone.")
    return number


def _iso_8601(value: Any) -> int:
    form = "Give whole Unix seconds, or ISO 8601 with a time zone like 2026-01-31T08:15:00Z."
    if not isinstance(value, str):
        raise _Refused(form)
    try:
        moment = datetime.fromisoformat(clean_text(value))
    except ValueError:
        raise _Refused(form) from None
    if moment.tzinfo is None:
        raise _Refused(
            "The time has no zone, so it could mean several moments: add Z or an offset like +02:00."
        )
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _SECOND


_SECOND = datetime(1970, 1, 1, 0, 0, 1) - datetime(1970, 1, 1)


def _read_server(given: _Arguments) -> Server | None:
    server = given.given.get("server")
    if server is None:
        return None
    if not isinstance(server, Mapping):
        given.refuse("server", "Give an object with domain and port.")
        return None
    for key in server.keys() - {"domain", "port"}:
        given.refuse(f"server.{str(key)[:40]}", "A server has a domain and a port, and nothing else.")
    domain, port = server.get("domain"), as_integer(server.get("port"))
    domain = clean_host(domain) if isinstance(domain, str) else domain
    problem = host_problem(domain) if isinstance(domain, str) else "Give a host name or an IPv4 address."
    if problem:
        given.refuse("server.domain", problem)
    if port is None or not 1 <= port <= 65535:
        given.refuse("server.port", "Give a whole number from 1 to 65535.")
        return None
    return Server(domain, port) if isinstance(domain, str) and not problem else None
