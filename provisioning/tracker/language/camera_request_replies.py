"""Replies to camreq: accepted, about to be sent, already captured; and refusals, which other commands may get too.

Source: vendor's DualCam SMS commands, reply table of camreq.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioning.tracker.language.camera_request import CamReq, FileType
from provisioning.tracker.language.command import SOURCE_DIGITS, Source
from provisioning.tracker.language.refusals import BY_CODE, REFUSALS, UNKNOWN_REFUSAL
from provisioning.tracker.language.reply import Candidate, Failure, Fit, Progress, Reply, utc
from provisioning.tracker.language.reply_forms import (
    CONNECTED,
    FILE_TYPE,
    MOMENT,
    Extent,
    Form,
    Piece,
    camera_of,
    file_type_of,
    form,
    moment_of,
)
from provisioning.tracker.parameters import named_settings
from provisioning.translation import N_, gettext

NEAR_ASKED = 2.0  # seconds: a clip may begin so far from the moment that was asked for
_WHAT: Mapping[FileType | None, str] = {
    FileType.PHOTO: N_("a photo"),
    FileType.VIDEO: N_("a clip"),
    None: N_("a file"),
}
_WHERE: Mapping[Source, str] = {
    Source.FRONT: N_("of the front camera"),
    Source.REAR: N_("of the rear camera"),
    Source.BOTH: N_("of both cameras"),
}
_SOURCES: Mapping[str | None, Source] = {digit: source for source, digit in SOURCE_DIGITS.items()}


@dataclass(frozen=True)
class RequestAccepted(Reply, kind="accepted", commands=(CamReq,)):
    """A camreq was accepted; `source` and `file_type` are None where the words leave them open."""

    file_type: FileType | None
    source: Source | None
    duration: int | None = None
    since: int | None = None

    forms: ClassVar = (
        form(
            rf"(?P<type>{FILE_TYPE})\s+request\s+from\s+source\s*:?\s*(?P<source>[0-9]{{1,3}})?"
            rf"(?:\s+for\s+(?P<duration>[0-9]{{1,4}})\s+seconds?)?(?:\s+since\s+(?P<since>{MOMENT}))?"
        ),
    )

    @classmethod
    def read(cls, piece: Piece) -> Iterable[Reply]:
        """Read what was asked for, as far as the device repeats it."""
        duration = piece["duration"]
        yield cls(
            file_type_of(piece["type"]),
            _SOURCES.get(piece["source"]),
            int(duration) if duration else None,
            moment_of(piece["since"]),
            text=piece.text,
        )

    @property
    def progress(self) -> Progress:
        return Progress.ACCEPTED

    @property
    def sentence(self) -> str:
        what = gettext(_WHAT[self.file_type])
        where = f" {gettext(_WHERE[self.source])}" if self.source else ""
        length = (
            " " + gettext("over %(seconds)s s", seconds=self.duration) if self.duration is not None else ""
        )
        since = " " + gettext("from %(time)s", time=utc(self.since)) if self.since is not None else ""
        what += where + length + since
        return gettext("The tracker has accepted the request for %(what)s. The file comes next.", what=what)

    def strength(self, candidate: Candidate) -> Fit:
        said = {"file_type": self.file_type, "source": self.source, "duration": self.duration}
        differs = any(
            value is not None and value != candidate.arguments.get(name) for name, value in said.items()
        )
        return Fit.NONE if differs else Fit.STRONG

    def remembered(self) -> Mapping[str, Any]:
        return {"accepted": True}


@dataclass(frozen=True)
class Preparing(Reply, kind="preparing", commands=(CamReq,)):
    """The device has the file and is about to send it."""

    file_timestamp: int | None
    already_connected: bool = False

    forms: ClassVar = (
        form(
            CONNECTED
            + rf"preparing\s+to\s+send\s+(?:the\s+)?file(?:\s+from\s+timestamp\s*:?\s*(?P<moment>{MOMENT})?)?"
        ),
    )

    @classmethod
    def read(cls, piece: Piece) -> Iterable[Reply]:
        """Read the file's time."""
        yield cls(moment_of(piece["moment"]), bool(piece["connected"]), text=piece.text)

    @property
    def progress(self) -> Progress:
        return Progress.ANNOUNCED

    @property
    def sentence(self) -> str:
        since = (
            " " + gettext("of %(time)s", time=utc(self.file_timestamp))
            if self.file_timestamp is not None
            else ""
        )
        if self.already_connected:
            return gettext(
                "The file%(since)s is taken, and the tracker sends it over the connection that is already"
                " open. Wait for it to arrive.",
                since=since,
            )
        return gettext(
            "The file%(since)s is taken, and the tracker sends it as soon as it is connected. Wait for it to arrive.",
            since=since,
        )

    def strength(self, candidate: Candidate) -> Fit:
        if self.file_timestamp is not None:
            moment = self.file_timestamp / 1000
            # a device announces a file with its whole second: the next photo of the same camera may be one second later
            if int(moment) in map(int, candidate.reported):
                return Fit.EXACT
            if candidate.asked is not None and abs(moment - candidate.asked) <= NEAR_ASKED:
                return Fit.EXACT
        return Fit.STRONG if candidate.capturing and not candidate.in_flight else Fit.WEAK

    def remembered(self) -> Mapping[str, Any]:
        times = [] if self.file_timestamp is None else [self.file_timestamp]
        return {"accepted": True, "file_timestamps": times}

    def without_end(self, text: str) -> Reply | None:
        return Preparing(None, self.already_connected, text=self.text)


@dataclass(frozen=True)
class AlreadyCaptured(Reply, kind="already_captured", commands=(CamReq,)):
    """Nothing new was taken: an earlier file has not been sent yet and is sent now."""

    file_type: FileType | None
    already_connected: bool = False

    forms: ClassVar = (
        form(
            CONNECTED
            + rf"(?:warning\s*:?\s*)?(?:(?P<type>{FILE_TYPE})\s+)?already\s+captured\s+previously"
            + r"(?:\s*,?\s*trying\s+to\s+send\s+it)?"
        ),
    )

    @classmethod
    def read(cls, piece: Piece) -> Iterable[Reply]:
        """Read what kind of file waits."""
        yield cls(file_type_of(piece["type"]), bool(piece["connected"]), text=piece.text)

    @property
    def progress(self) -> Failure:
        return Failure("already_captured", retry=True)

    @property
    def sentence(self) -> str:
        return gettext(_EARLIER[self.file_type])

    def strength(self, candidate: Candidate) -> Fit:
        return Fit.WEAK if self.file_type in (None, candidate.arguments.get("file_type")) else Fit.NONE

    def remembered(self) -> Mapping[str, Any]:
        return {"already_captured": True}


_EARLIER: Mapping[FileType | None, str] = {
    FileType.PHOTO: N_(
        "Nothing new was taken: an earlier photo has not been sent yet, and the tracker tries to send"
        " that one. Asking again is safe, best once it has arrived."
    ),
    FileType.VIDEO: N_(
        "Nothing new was taken: an earlier clip has not been sent yet, and the tracker tries to send that"
        " one. Asking again is safe, best once it has arrived."
    ),
    None: N_(
        "Nothing new was taken: an earlier file has not been sent yet, and the tracker tries to send that"
        " one. Asking again is safe, best once it has arrived."
    ),
}


def _bare(code: str, pattern: str) -> Form:
    """Make the form of a refusal of which the vendor's table prints only a word or two, such as "File type"."""
    whole = rf"\s*(?:Error\s*:?\s*)?(?:Invalid\s+)?{pattern}[\s.!;]*"
    return form(whole, code, Extent.WHOLE)


@dataclass(frozen=True)
class CommandRefused(Reply, kind="refused", commands=(CamReq,)):
    """The device does not do what was asked; the codes, and what `whose` and `retry` mean, stand in `refusals`.

    Its words are documented for camreq; other commands get some of them too. `message` is the device's own words.
    """

    code: str
    message: str
    whose: str
    retry: bool
    camera: Source | None = None

    forms: ClassVar = (
        _bare("invalid_file_type", r"file\s+type"),
        _bare("invalid_source", r"file\s+source"),
        _bare("invalid_timestamp", "timestamp"),
        _bare("invalid_duration", "duration"),
        *(Form(row.pattern, row.code) for row in REFUSALS),
        Form(UNKNOWN_REFUSAL.pattern, UNKNOWN_REFUSAL.code, Extent.OPEN),
    )

    @classmethod
    def read(cls, piece: Piece) -> Iterable[Reply]:
        """Read the code; a beginning such as "Error:" with nothing behind it is no refusal."""
        row = BY_CODE.get(piece.form.code, UNKNOWN_REFUSAL)
        if row is not UNKNOWN_REFUSAL or any(character.isalnum() for character in piece.rest):
            camera = camera_of(piece["camera"])
            yield cls(row.code, piece.text, row.whose, row.retry, camera, text=piece.text)

    @property
    def is_known(self) -> bool:
        """Return whether a page of the vendor explains the words."""
        return self.code != UNKNOWN_REFUSAL.code

    @property
    def answers(self) -> tuple[str, ...]:
        return super().answers if self.is_known else ()

    @property
    def progress(self) -> Failure:
        return Failure(self.code, self.retry)

    @property
    def sentence(self) -> str:
        return gettext(BY_CODE.get(self.code, UNKNOWN_REFUSAL).sentence, **named_settings())

    def fit(self, candidate: Candidate) -> Fit:
        return Fit.FAINT if self.is_known and candidate.kind not in self.answers else Fit.WEAK
