"""What the OpenAPI document says of bodies whose rules stand below the schemas: commands and sets of parameters.

For reading only: the rules are in `commands` and `parameters`, and a test calls every operation with what this file
allows. The shapes depend on the settings: which servers may be named, and which parameters the catalogue has.
"""

from collections.abc import Mapping
from typing import Any

from provisioning.core.config import Config
from provisioning.devices.camera_server import own_server
from provisioning.tracker.language import COMMANDS, LONGEST_SPLIT, LONGEST_VIDEO, RESOLUTIONS, Source
from provisioning.tracker.parameters import CREDENTIALS, REQUIRED, REQUIRED_IN_WORDS, Parameter
from provisioning.web.schemas.request_fields import IMEI, PAST, TEXT

Shape = dict[str, Any]

NULL: Shape = {"type": "null"}
TRUE: Shape = {"type": "boolean", "const": True}
FALSE: Shape = {"type": "boolean", "const": False}
RAW_VALUE: Shape = {
    "anyOf": [
        {"type": "integer", "minimum": -999_999_999_999_999_999, "maximum": 999_999_999_999_999_999},
        {"type": "string", "pattern": r"^[A-Za-z0-9._/+!?()\-]{1,120}$"},
    ],
    "description": "a whole number, or text of the GSM-7 alphabet without blanks and ; : ,",
}
PROFILE: Shape = {
    "type": "string",
    "format": "profile",
    "description": "the name of a profile that there is, or name@version",
    **TEXT,
}
SECONDS: Shape = {"type": "integer", "minimum": 1, "maximum": LONGEST_VIDEO}
SPLIT_SECONDS: Shape = {"type": "integer", "minimum": 1, "maximum": LONGEST_SPLIT}
PARAMETER_ID = "^[1-9][0-9]{0,7}$"


def shapes(catalogue: Mapping[int, Parameter], config: Config) -> dict[str, Shape]:
    """Give the bodies by the names of their components."""
    return {
        "PlanRequest": _either_raw(
            "parameters", _set(catalogue), _raw_set(catalogue), imei={"type": "string", **IMEI}
        ),
        "ProfileRequest": _body(
            {
                "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9 ._-]{0,98}$"},
                "description": {"type": "string", "maxLength": 2000, **TEXT},
                "parameters": _set(catalogue),
            },
            "name",
            "parameters",
        ),
        "ProvisionRequest": {
            "anyOf": [
                *_either_raw("parameters", _set(catalogue), _raw_set(catalogue))["anyOf"],
                _body({"profile": PROFILE, "raw": {"type": "boolean"}}, "profile"),
            ]
        },
        "CommandRequest": {"anyOf": [*_commands(catalogue), *_camreqs(config)]},
        "RecordRequest": _record(),
        "Asked": {
            "anyOf": [
                {"$ref": f"#/components/schemas/{name}"} for name in ("CommandResponse", "CommandsResponse")
            ],
            "description": "the command; with `split`, all commands of the video",
        },
    }


def _body(properties: Shape, *required: str) -> Shape:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _either_raw(name: str, checked: Shape, raw: Shape, **more: Shape) -> Shape:
    """Describe a body whose set may hold other ids only where `raw` is true."""
    return {
        "anyOf": [
            _body({name: checked, "raw": FALSE, **more}, name),
            _body({name: raw, "raw": TRUE, **more}, name, "raw"),
        ]
    }


def _values(catalogue: Mapping[int, Parameter], required: Mapping[int, int]) -> Shape:
    return {
        str(number): _number(required[number]) if number in required else _value(parameter)
        for number, parameter in catalogue.items()
        if number not in CREDENTIALS
    }


def _set(catalogue: Mapping[int, Parameter]) -> Shape:
    return {
        "type": "object",
        "properties": _values(catalogue, REQUIRED),
        "additionalProperties": False,
        "description": f"by parameter id; {REQUIRED_IN_WORDS} are added by themselves",
    }


def _raw_set(catalogue: Mapping[int, Parameter]) -> Shape:
    """Describe a set with ids that the catalogue does not know; never the credentials, which are set alone."""
    return _set(catalogue) | {
        "propertyNames": {
            "pattern": PARAMETER_ID,
            "not": {"enum": [str(number) for number in sorted(CREDENTIALS)]},
        },
        "additionalProperties": RAW_VALUE,
    }


def _number(*allowed: int) -> Shape:
    return {"type": "integer", "enum": [*allowed]}


def _value(parameter: Parameter) -> Shape:
    if parameter.kind == "choice":
        return _number(*parameter.choices)
    if parameter.kind == "mask":
        names = [*parameter.bits.values()]
        bits = {
            "type": "integer",
            "minimum": 0,
            "maximum": sum(parameter.bits),
            "multipleOf": min(parameter.bits),
        }
        return {"anyOf": [bits, {"type": "array", "items": {"type": "string", "enum": names}}]}
    if parameter.kind == "integer":
        bounds = {"minimum": parameter.minimum, "maximum": parameter.maximum, "multipleOf": parameter.step}
        return {"type": "integer", **{name: bound for name, bound in bounds.items() if bound is not None}}
    if parameter.shape == "host":
        return HOST
    return {"type": "string", "pattern": f"^[A-Za-z0-9]{{1,{parameter.max_length or 120}}}$"}


HOST: Shape = {
    "type": "string",
    "pattern": r"^[A-Za-z]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?(\.[A-Za-z]([A-Za-z0-9-]{0,14}[A-Za-z0-9])?){0,2}$",
}


def _commands(catalogue: Mapping[int, Parameter]) -> list[Shape]:
    """Describe all commands but camreq."""
    plain = [name for name, kind in COMMANDS.items() if not kind.takes_arguments()]
    of_one_camera = [name for name, kind in COMMANDS.items() if kind.is_for_one_camera()]
    camera: Shape = {"enum": ["front", "rear"]}
    return [
        _body({"command": {"enum": plain}}, "command"),
        _body({"command": {"enum": of_one_camera}, "camera": camera}, "command", "camera"),
        *_getparams(catalogue),
        *_setparams(catalogue),
    ]


def _getparams(catalogue: Mapping[int, Parameter]) -> list[Shape]:
    """Describe getparam: of ids that the catalogue knows, and of any."""
    ids = {"type": "array", "minItems": 1, "uniqueItems": True}
    known: Shape = {"type": "integer", "enum": sorted(catalogue)}
    any_id: Shape = {"type": "integer", "minimum": 1, "maximum": 99_999_999}
    return [
        _of_parameters("getparam", ids | {"items": known}, raw=_optional(FALSE)),
        _of_parameters("getparam", ids | {"items": any_id}, "raw", raw=TRUE),
    ]


def _setparams(catalogue: Mapping[int, Parameter]) -> list[Shape]:
    """Describe setparam: of the credentials, which are set alone, of parameters of the catalogue, and of any."""
    credential: Shape = {"type": "string", "pattern": "^[A-Za-z0-9]{1,5}$"}
    pair = {str(number): credential for number in sorted(CREDENTIALS)}
    values = _values(catalogue, {})
    known = _body(values) | {"minProperties": 1}
    any_id = _raw_set(catalogue) | {"properties": values, "minProperties": 1}
    return [
        _of_parameters("setparam", _body(pair, *pair), raw=_optional({"type": "boolean"})),
        _of_parameters("setparam", known, raw=_optional(FALSE)),
        _of_parameters("setparam", any_id, "raw", raw=TRUE),
    ]


def _of_parameters(command: str, parameters: Shape, *required: str, raw: Shape) -> Shape:
    given = {"command": {"const": command}, "raw": raw, "parameters": parameters}
    return _body(given, "command", "parameters", *required)


def _camreqs(config: Config) -> list[Shape]:
    """Describe requests for a photo and for a video."""
    asked: Shape = {"command": {"const": "camreq"}, "source": {"enum": [*Source]}} | _server(config)
    resolutions = [*RESOLUTIONS] if own_server(config) else ["configured"]
    return [
        _body(
            asked
            | {
                "file_type": {"const": "photo"},
                "resolution": _optional({"enum": resolutions}),
                "timestamp": NULL,
                "duration": NULL,
                "split": NULL,
            },
            "command",
            "file_type",
            "source",
        ),
        _video(asked, SECONDS, _optional(FALSE)),
        _video(asked, SPLIT_SECONDS, TRUE, "split"),
    ]


def _video(asked: Shape, seconds: Shape, split: Shape, *required: str) -> Shape:
    video = {"file_type": {"const": "video"}, "timestamp": PAST, "duration": seconds, "resolution": NULL}
    needed = ("command", "file_type", "source", "timestamp", "duration", *required)
    return _body(asked | video | {"split": split}, *needed)


def _optional(shape: Shape) -> Shape:
    return {"anyOf": [shape, NULL]}


def _server(config: Config) -> Shape:
    """Describe our own server alone: the document is open to everybody, the list of allowed servers is not."""
    places: list[Shape] = [NULL]
    if own := own_server(config):
        places.append(_body({"domain": {"const": own.domain}, "port": _number(own.port)}, "domain", "port"))
    described = "admins may also name those of CAMERA_SERVERS_ALLOWED"
    return {"server": {"anyOf": places, "description": described}}


def _record() -> Shape:
    state: Shape = {"type": "integer", "minimum": 0, "maximum": 65_535}
    names = {"239": "ignition", "497": "rear camera state", "498": "front camera state", "499": "SOS trigger"}
    values = {number: state | {"description": name} for number, name in names.items()}
    kept = {"type": "object", "properties": values, "description": "by AVL id; others are left out"}
    return _body({"timestamp": PAST, "values": kept}, "timestamp", "values")
