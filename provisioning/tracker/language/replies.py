"""Every reply that can be read, in the order in which their forms are tried.

The replies about cameras and the tracker itself are declared here. Source: vendor's DualCam SMS commands and FMB
SMS/GPRS command pages.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from provisioning.phrase import Phrase
from provisioning.tracker.language.camera_request_replies import (
    AlreadyCaptured,
    CommandRefused,
    Preparing,
    RequestAccepted,
)
from provisioning.tracker.language.command import Source
from provisioning.tracker.language.commands import (
    CamGetRestart,
    CamGetSdFormat,
    CamGetVer,
    CpuReset,
    GetInfo,
    GetIo,
    GetStatus,
    GetVer,
)
from provisioning.tracker.language.info_reader import read_info
from provisioning.tracker.language.masking import mask
from provisioning.tracker.language.parameter_replies import ParametersRefused, Values
from provisioning.tracker.language.reply import Candidate, Failure, Fit, Progress, Reply, StatusFact
from provisioning.tracker.language.reply_forms import CAMERA, RESULT, Extent, Piece, camera_of, form
from provisioning.translation import N_, gettext

_SILENT = {"front": N_("The front camera did not answer."), "rear": N_("The rear camera did not answer.")}
_RUNS = {"front": N_("The front camera runs %(version)s."), "rear": N_("The rear camera runs %(version)s.")}


@dataclass(frozen=True)
class CameraVersions(Reply, kind="camera_versions", commands=(CamGetVer,)):
    """Firmware of the cameras ("1.9.3"); a camera that was not named is None and not failed."""

    front: str | None = None
    rear: str | None = None
    front_failed: bool = False
    rear_failed: bool = False

    forms: ClassVar = (
        form(
            rf"(?:the\s+)?(?:(?P<camera>{CAMERA})\s+camera\s*:?\s*(?:V\s?(?P<version>[0-9]+(?:\.[0-9]+)+)"
            r"|(?P<failed>camgetver\s+failed)))"
        ),
        form(r"(?P<failed>camgetver\s+failed)"),
    )

    @classmethod
    def read(cls, piece: Piece) -> Iterable[Reply]:
        """Read one camera, or both where the words name both or none."""
        words = (piece["camera"] or "front/rear").casefold()
        front, rear = "front" in words, "rear" in words
        version, failed = piece["version"], piece["failed"] is not None
        yield cls(
            version if front else None,
            version if rear else None,
            front and failed,
            rear and failed,
            text=piece.text,
        )

    @property
    def progress(self) -> Progress | Failure:
        if self.front_failed and self.rear_failed:
            return Failure("camera_version_failed", retry=True)
        return Progress.DONE

    @property
    def sentence(self) -> str:
        said = [
            gettext(_SILENT[name]) if failed else gettext(_RUNS[name], version=version)
            for name, version, failed in self._cameras()
            if failed or version
        ]
        if self.front_failed or self.rear_failed:
            said.append(
                gettext(
                    "Check that camera's cable and supply, and that the ignition is on; camera firmware 2.2.0, a"
                    " step in between, never answers and has to be updated."
                )
            )
        return " ".join(said)

    def _cameras(self) -> Sequence[tuple[str, str | None, bool]]:
        return (("front", self.front, self.front_failed), ("rear", self.rear, self.rear_failed))

    def status_facts(self, imei: str) -> Iterable[StatusFact]:
        for camera, version, failed in self._cameras():
            if failed:
                yield StatusFact(f"camera.{camera}.version", "did not answer", False)
            elif version:
                yield StatusFact(f"camera.{camera}.version", version)

    def joined(self, following: Reply) -> Reply | None:
        if not isinstance(following, CameraVersions):
            return None
        return CameraVersions(
            following.front or self.front,
            following.rear or self.rear,
            self.front_failed or following.front_failed,
            self.rear_failed or following.rear_failed,
            text=f"{self.text} {following.text}",
        )


_ACTIONS: Mapping[tuple[str, bool], Mapping[Source | None, str]] = {
    ("format", True): {
        Source.FRONT: N_("The SD card of the front camera is formatted: its footage is gone."),
        Source.REAR: N_("The SD card of the rear camera is formatted: its footage is gone."),
        None: N_("The SD card of the camera is formatted: its footage is gone."),
    },
    ("format", False): {
        Source.FRONT: N_(
            "The SD card of the front camera could not be formatted. Check that it is inserted, or replace it."
        ),
        Source.REAR: N_(
            "The SD card of the rear camera could not be formatted. Check that it is inserted, or replace it."
        ),
        None: N_(
            "The SD card of the camera could not be formatted. Check that it is inserted, or replace it."
        ),
    },
    ("restart", True): {
        Source.FRONT: N_("The front camera has restarted."),
        Source.REAR: N_("The rear camera has restarted."),
        None: N_("The camera has restarted."),
    },
    ("restart", False): {
        Source.FRONT: N_("The front camera did not restart. Check its cable and supply."),
        Source.REAR: N_("The rear camera did not restart. Check its cable and supply."),
        None: N_("The camera did not restart. Check its cable and supply."),
    },
}
_WHOSE = rf"(?:camera\s+)?(?:(?P<camera>{CAMERA})\s+)?(?:camera\s+)?"


@dataclass(frozen=True)
class CameraAction(Reply, kind="camera_action", commands=(CamGetSdFormat, CamGetRestart)):
    """The end of a format of the SD card, or of a restart of a camera."""

    action: str  # "format" or "restart"
    camera: Source | None
    success: bool

    forms: ClassVar = (
        form(rf"{_WHOSE}SD\s*card\s+format(?:ting)?{RESULT}", "format"),
        form(rf"{_WHOSE}(?:camget_)?restart{RESULT}", "restart"),
    )

    @classmethod
    def read(cls, piece: Piece) -> Iterable[Reply]:
        """Read the camera and the result."""
        success = (piece["result"] or "").casefold().startswith("success")
        yield cls(piece.form.code, camera_of(piece["camera"]), success, text=piece.text)

    @property
    def restarts(self) -> bool:
        """Condition: a camera starts again, and takes nothing until it has."""
        return self.action == "restart" and self.success

    @property
    def answers(self) -> tuple[str, ...]:
        return (CamGetSdFormat.name,) if self.action == "format" else (CamGetRestart.name,)

    @property
    def progress(self) -> Progress | Failure:
        return Progress.DONE if self.success else Failure("camera_action_failed", retry=True)

    @property
    def sentence(self) -> str:
        return gettext(_ACTIONS[self.action, self.success][self.camera])

    def strength(self, candidate: Candidate) -> Fit:
        if self.camera is None:
            return Fit.WEAK
        return Fit.STRONG if self.camera == candidate.arguments.get("camera") else Fit.NONE


@dataclass(frozen=True)
class Info(Reply, kind="info", commands=(GetVer, GetInfo, GetStatus, GetIo)):
    """Key and value pairs as the tracker writes them; a key that comes twice gets a number ("BT", "BT2").

    It has no form: what lies between other replies is read as one (`info_reader`).
    """

    name: str
    values: Mapping[str, str]

    @classmethod
    def from_text(cls, text: str) -> "Info | None":
        """Read a text between other replies; None where it is none."""
        found = read_info(text)
        return cls(*found, text=text.strip()) if found else None

    @property
    def answers(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def progress(self) -> Progress:
        return Progress.DONE

    @property
    def sentence(self) -> str:
        if self.name == GetVer.name:
            firmware = self.values.get("Ver", "")
            if hardware := self.values.get("Hw"):
                return gettext(
                    "The tracker answers: firmware %(firmware)s on %(hardware)s.",
                    firmware=firmware,
                    hardware=hardware,
                )
            return gettext("The tracker answers: firmware %(firmware)s.", firmware=firmware)
        values = ", ".join(f"{key} {value}" for key, value in self.values.items())
        return gettext("The tracker answers %(command)s: %(values)s", command=self.name, values=values)

    def status_facts(self, imei: str) -> Iterable[StatusFact]:
        for key, value in self.values.items():
            yield StatusFact(f"info.{self.name}.{key}"[:64], value)
        if self.name != GetVer.name:
            return
        if version := self.values.get("Ver"):
            yield StatusFact("firmware", version)
        if said := self.values.get("IMEI"):
            wrong = Phrase("another_tracker")
            yield StatusFact("imei", said, said == imei, None if said == imei else wrong)

    def without(self, secrets: Iterable[str]) -> "Info":
        hidden = tuple(secrets)
        return replace(self, values={key: mask(value, hidden) for key, value in self.values.items()})

    def without_end(self, text: str) -> Reply | None:
        return replace(self, values=dict(list(self.values.items())[:-1]))


@dataclass(frozen=True)
class ResetAcknowledged(Reply, kind="reset_acknowledged", commands=(CpuReset,)):
    """The tracker's "No" to a cpureset: it restarts."""

    forms: ClassVar = (form(r"\s*no[\s.!;]*", extent=Extent.WHOLE),)

    @property
    def progress(self) -> Progress:
        return Progress.DONE

    @property
    def sentence(self) -> str:
        return gettext("The tracker restarts. Send it nothing until it answers again.")


@dataclass(frozen=True)
class Unread(Reply, kind="unread"):
    """Words that no vendor page explains; they stay visible as they are."""

    @property
    def progress(self) -> Progress:
        return Progress.NOTHING

    @property
    def sentence(self) -> str:
        return gettext("The tracker's words are not known here; read them as they are.")


# Of two forms that match at the same place the one listed first wins: refusals are last, for any "Error:" is one.
REPLIES: Sequence[type[Reply]] = (
    RequestAccepted,
    Preparing,
    AlreadyCaptured,
    ParametersRefused,
    Values,
    CameraVersions,
    CameraAction,
    Info,
    ResetAcknowledged,
    Unread,
    CommandRefused,
)
