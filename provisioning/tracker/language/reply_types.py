"""What a device's SMS can mean: one frozen class a kind of reply, with its sentence for people.

No reading here (`reply_reader`). `text` is the piece of the SMS in the device's own words, not masked; `sentence`
and `as_json` never hold a credential. `answers` names the commands that a reply of this kind can belong to,
`command` is that name where there is only one. Device times are Unix milliseconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, ClassVar, Self

from provisioning.tracker.language.camera_request import FileType
from provisioning.tracker.language.command import Source
from provisioning.tracker.language.masking import mask
from provisioning.tracker.language.refusals import BY_CODE, UNKNOWN_REFUSAL
from provisioning.tracker.parameters import CATALOGUE, CREDENTIALS, SECRET_SHOWN, as_integer, describe


@dataclass(frozen=True)
class _Piece:
    """What all replies share."""

    text: str = field(default="", kw_only=True)

    kind: ClassVar[str]
    _answers: ClassVar[tuple[str, ...]] = ()

    @property
    def answers(self) -> tuple[str, ...]:
        """Return the names of the commands that these words can answer."""
        return self._answers

    @property
    def command(self) -> str | None:
        """Return the command that these words answer, None where they fit several or none."""
        return self.answers[0] if len(self.answers) == 1 else None

    @property
    def sentence(self) -> str:
        """Say to a person what the reply means and what to do."""
        raise NotImplementedError

    def without(self, secrets: Iterable[str]) -> Self:
        """Return the reply with dots for these secrets in what people are shown of it."""
        return self

    def as_json(self, secrets: Iterable[str] = ()) -> dict[str, Any]:
        """Return the reply for `result` in the API: its kind, fields and sentence.

        Credentials are dots, and so are the device's `secrets` (login, password) in its own words.
        """
        own = {item.name: _json(getattr(self, item.name)) for item in fields(self)}
        words: dict[str, Any] = {
            name: mask(own[name], secrets) for name in ("text", "message") if name in own
        }
        return {"kind": self.kind, "command": self.command, **own, **words, "sentence": self.sentence}


@dataclass(frozen=True)
class Values(_Piece):
    """Parameter values that the device holds ("Param ID:"), or has just taken over ("New value", `new`)."""

    values: Mapping[int, str]
    new: bool
    kind: ClassVar[str] = "values"

    @property
    def answers(self) -> tuple[str, ...]:
        return ("setparam",) if self.new else ("setparam", "getparam")

    @property
    def shown(self) -> dict[int, str]:
        """Return the values with credentials as dots."""
        return {
            id: SECRET_SHOWN if id in CREDENTIALS and value else value for id, value in self.values.items()
        }

    def confirms(self, id: int, value: int | str) -> bool:
        """Tell whether the device holds just this value; numbers are compared as numbers."""
        held = self.values.get(id)
        if isinstance(value, int):
            return as_integer(held) == value
        return held == value

    @property
    def sentence(self) -> str:
        said = "; ".join(
            f"{_name(id)}: {describe(id, value) or 'empty'}" for id, value in self.values.items()
        )
        return f"The device has taken over: {said}." if self.new else f"The device holds: {said}."

    def as_json(self, secrets: Iterable[str] = ()) -> dict[str, Any]:
        return super().as_json(secrets) | {"values": {str(id): value for id, value in self.shown.items()}}


@dataclass(frozen=True)
class ParametersRefused(_Piece):
    """The device does not know a parameter or its value; `ids` is empty where it does not say which."""

    code: str
    ids: tuple[int, ...] = ()
    whose: ClassVar[str] = "person"
    retry: ClassVar[bool] = False
    kind: ClassVar[str] = "parameters_refused"

    @property
    def answers(self) -> tuple[str, ...]:
        return ("setparam",) if self.code in ("not_supported", "configuring_failed") else ("getparam",)

    @property
    def sentence(self) -> str:
        if self.code == "not_supported":
            return (
                "The device did not take over everything: it does not know a parameter or a value. Compare"
                " what it confirmed with what was asked; its firmware may be too old (getver)."
            )
        if self.code == "configuring_failed":
            return (
                "The device could not store the parameters. Read them back, then send what is missing again."
            )
        ids = ", ".join(str(id) for id in self.ids) or "one that was asked for"
        return (
            f"The device has no such parameter ({ids}). Check the number and the tracker's firmware (getver)."
        )


@dataclass(frozen=True)
class Accepted(_Piece):
    """A camreq was accepted; `source` and `file_type` are None where the words leave them open."""

    file_type: FileType | None
    source: Source | None
    duration: int | None = None
    since: int | None = None
    kind: ClassVar[str] = "accepted"
    _answers: ClassVar[tuple[str, ...]] = ("camreq",)

    @property
    def sentence(self) -> str:
        what = self.file_type.value if self.file_type else "file"
        cameras = {Source.FRONT: " of the front camera", Source.REAR: " of the rear camera"}
        where = (
            " of both cameras" if self.source is Source.BOTH else cameras.get(self.source or Source.BOTH, "")
        )
        length = f" over {self.duration} s" if self.duration is not None else ""
        since = f" from {_utc(self.since)}" if self.since is not None else ""
        return f"The device has accepted the request for a {what}{where}{length}{since}. The file comes next."


@dataclass(frozen=True)
class Preparing(_Piece):
    """The device has the file and is about to send it."""

    file_timestamp: int | None
    already_connected: bool = False
    kind: ClassVar[str] = "preparing"
    _answers: ClassVar[tuple[str, ...]] = ("camreq",)

    @property
    def sentence(self) -> str:
        since = f" of {_utc(self.file_timestamp)}" if self.file_timestamp is not None else ""
        how = "over the line that is already open" if self.already_connected else "as soon as it is connected"
        return f"The file{since} is taken, and the device sends it {how}. Wait for it to arrive."


@dataclass(frozen=True)
class AlreadyCaptured(_Piece):
    """Nothing new was taken: an earlier file has not been sent yet and is sent now."""

    file_type: FileType | None
    already_connected: bool = False
    code: ClassVar[str] = "already_captured"
    whose: ClassVar[str] = "device"
    retry: ClassVar[bool] = True
    kind: ClassVar[str] = "already_captured"
    _answers: ClassVar[tuple[str, ...]] = ("camreq",)

    @property
    def sentence(self) -> str:
        what = self.file_type.value if self.file_type else "file"
        return (
            f"Nothing new was taken: an earlier {what} has not been sent yet, and the device tries to send"
            " that one. Asking again is safe, best once it has arrived."
        )


@dataclass(frozen=True)
class Refused(_Piece):
    """A camreq did not happen; the codes, and what `whose` and `retry` mean, stand in `refusals`.

    `message` is the device's own words.
    """

    code: str
    message: str
    whose: str
    retry: bool
    camera: Source | None = None
    kind: ClassVar[str] = "refused"

    @property
    def answers(self) -> tuple[str, ...]:
        return () if self.code == "unknown_refusal" else ("camreq",)

    @property
    def sentence(self) -> str:
        return BY_CODE.get(self.code, UNKNOWN_REFUSAL).sentence


@dataclass(frozen=True)
class CameraVersions(_Piece):
    """Firmware of the cameras ("1.9.3"); a camera that was not named is None and not failed."""

    front: str | None = None
    rear: str | None = None
    front_failed: bool = False
    rear_failed: bool = False
    kind: ClassVar[str] = "camera_versions"
    _answers: ClassVar[tuple[str, ...]] = ("camgetver",)

    @property
    def sentence(self) -> str:
        said = [
            f"The {name} camera {'did not answer' if failed else f'runs {version}'}."
            for name, version, failed in (
                ("front", self.front, self.front_failed),
                ("rear", self.rear, self.rear_failed),
            )
            if failed or version
        ]
        if self.front_failed or self.rear_failed:
            said.append(
                "Check that camera's cable and supply, and that the ignition is on; camera firmware 2.2.0, a"
                " step in between, never answers and has to be updated."
            )
        return " ".join(said)


@dataclass(frozen=True)
class CameraAction(_Piece):
    """The end of a format of the SD card, or of a restart of a camera."""

    action: str  # "format" or "restart"
    camera: Source | None
    success: bool
    kind: ClassVar[str] = "camera_action"

    @property
    def answers(self) -> tuple[str, ...]:
        return ("camget_sdformat",) if self.action == "format" else ("camget_restart",)

    @property
    def sentence(self) -> str:
        whose = f"the {self.camera.value} camera" if self.camera else "the camera"
        if self.action == "format":
            good = f"The SD card of {whose} is formatted: its footage is gone."
            bad = f"The SD card of {whose} could not be formatted. Check that it is inserted, or replace it."
        else:
            good = f"{whose.capitalize()} has restarted."
            bad = f"{whose.capitalize()} did not restart. Check its cable and supply."
        return good if self.success else bad


@dataclass(frozen=True)
class Info(_Piece):
    """Key and value pairs as the tracker writes them; a key that comes twice gets a number ("BT", "BT2")."""

    name: str
    values: Mapping[str, str]
    kind: ClassVar[str] = "info"

    def without(self, secrets: Iterable[str]) -> Self:
        hidden = tuple(secrets)
        return replace(self, values={key: mask(value, hidden) for key, value in self.values.items()})

    @property
    def answers(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def sentence(self) -> str:
        if self.name == "getver":
            hardware = f" on {self.values['Hw']}" if "Hw" in self.values else ""
            return f"The tracker answers: firmware {self.values.get('Ver', '')}{hardware}."
        return f"The tracker answers {self.name}: " + ", ".join(
            f"{key} {value}" for key, value in self.values.items()
        )


@dataclass(frozen=True)
class ResetAcknowledged(_Piece):
    """The tracker's "No" to a cpureset: it restarts."""

    kind: ClassVar[str] = "reset_acknowledged"
    _answers: ClassVar[tuple[str, ...]] = ("cpureset",)

    @property
    def sentence(self) -> str:
        return "The tracker restarts. Send it nothing until it answers again."


@dataclass(frozen=True)
class Unread(_Piece):
    """Words that no vendor page explains; they stay visible as they are."""

    kind: ClassVar[str] = "unread"

    @property
    def sentence(self) -> str:
        return "The device's words are not known here; read them as they are."


Reply = (
    Values
    | ParametersRefused
    | Accepted
    | Preparing
    | AlreadyCaptured
    | Refused
    | CameraVersions
    | CameraAction
    | Info
    | ResetAcknowledged
    | Unread
)


def _name(id: int) -> str:
    parameter = CATALOGUE.get(id)
    return f"{parameter.name} ({id})" if parameter else str(id)


def _utc(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _json(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
