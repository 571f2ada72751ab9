"""What every reply declares: how it is read, which command it fits and how strongly, what it says, what follows.

A new reply is one class in `replies`, `parameter_replies` or `camera_request_replies`, and a line in `replies.REPLIES`.
Everything else asks the class: the reader, the choice of the command that is answered, the status table, the command's
state, unmatched texts and the API.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import Any, ClassVar, Self

from provisioning.phrase import Phrase
from provisioning.tracker.language.command import TypedCommand
from provisioning.tracker.language.masking import mask
from provisioning.tracker.language.reply_forms import Form, Piece

REPLY = "reply"  # the code of a phrase that a reply makes


class Fit(IntEnum):
    """How well a reply fits a command that may have asked for it."""

    NONE = 0
    FAINT = 1  # it fits better with another kind of command, which is not waiting
    WEAK = 2  # nothing in it contradicts
    STRONG = 3  # what it says was asked for
    EXACT = 4  # what it says was asked for by this command alone


class Progress(Enum):
    """What a reply means for the command that it answers."""

    NOTHING = "the words are not understood"
    COMPARED = "its values are compared with what was asked, with those of other replies"
    ACCEPTED = "the device has begun; its files come later"
    ANNOUNCED = "a file was taken and is about to be sent"
    DONE = "the command is done"


@dataclass(frozen=True, slots=True)
class Failure:
    """The command has failed: code, and whether the same request may succeed when it is asked again."""

    code: str
    retry: bool


@dataclass(frozen=True, slots=True)
class StatusFact:
    """A fact about the device; `is_good` is None where it is judged by what was asked of the device."""

    item: str
    value: str
    is_good: bool | None = True
    note: Phrase | None = None  # as status_words says it


@dataclass(frozen=True, slots=True)
class Candidate:
    """A command that a reply could belong to.

    `asked`: the moment that a video was asked for; `reported`: those that the device gave of its files, in words or
    with a file. Both in Unix seconds. `unannounced`: a camreq that is done, since its file came before the words that
    announce it. `answered`: the device has said something to it already. `resending`: it has ended, and the device
    tries to send an earlier file in its place.
    """

    id: str
    kind: str
    arguments: Mapping[str, Any]
    in_flight: bool
    capturing: bool
    asked: float | None = None
    reported: tuple[float, ...] = ()
    unannounced: bool = False
    answered: bool = False
    resending: bool = False


@dataclass(frozen=True)
class Reply(ABC):
    """A reply, or one of several in an SMS; each subclass declares one kind.

    kind: what the API calls it. commands: the commands that it can answer, unless `answers` says it more exactly.
    forms: how it is written, tried in this order. `text` is the device's own words, not masked.
    """

    text: str = field(default="", kw_only=True)

    kind: ClassVar[str]
    commands: ClassVar[Sequence[type[TypedCommand]]]
    forms: ClassVar[Sequence[Form]] = ()

    def __init_subclass__(cls, *, kind: str, commands: Sequence[type[TypedCommand]] = ()) -> None:
        super().__init_subclass__()
        cls.kind, cls.commands = kind, commands

    @classmethod
    def read(cls, piece: Piece) -> "Iterable[Reply]":
        """Return what a piece of text that one of the forms has found says."""
        return [cls(text=piece.text)]

    @property
    @abstractmethod
    def sentence(self) -> str:
        """Say to a person what the reply means and what to do; it holds no credential."""

    @property
    @abstractmethod
    def progress(self) -> Progress | Failure:
        """Return what the reply means for the command that it answers."""

    @property
    def answers(self) -> tuple[str, ...]:
        """Return the names of the commands that the reply can answer."""
        return tuple(command.name for command in self.commands)

    @property
    def command(self) -> str | None:
        """Return the command that the reply answers; None where it may be one of several, or none."""
        return self.answers[0] if len(self.answers) == 1 else None

    def fit(self, candidate: Candidate) -> Fit:
        """Return how well the reply fits a command."""
        return self.strength(candidate) if candidate.kind in self.answers else Fit.NONE

    def strength(self, candidate: Candidate) -> Fit:
        """Return how well the reply fits a command of a kind that it can answer."""
        return Fit.STRONG

    def status_facts(self, imei: str) -> Iterable[StatusFact]:
        """Return what the reply says of the device with this IMEI, whatever command it answers."""
        return ()

    def remembered(self) -> Mapping[str, Any]:
        """Return what the command's result keeps; a list is added to what is kept already."""
        return {}

    def joined(self, following: "Reply") -> "Reply | None":
        """Return both as one reply, where the following one goes on with the same statement."""
        return None

    def without_end(self, text: str) -> "Reply | None":
        """Return the reply without the value at the very end of an SMS `text`, which may go on in another.

        None where nothing is left of it.
        """
        return self

    def without(self, secrets: Iterable[str]) -> Self:
        """Return the reply with dots for these secrets in what people are shown of it."""
        return self

    def as_json(self, secrets: Iterable[str] = ()) -> dict[str, Any]:
        """Return the reply for a command's result: its kind and fields; `reply_json` reads it back.

        Credentials are dots, and so are the device's `secrets` (login, password) in its own words.
        """
        own = {item.name: _json(getattr(self, item.name)) for item in fields(self)}
        masked: dict[str, Any] = {
            name: mask(own[name], secrets) for name in ("text", "message") if name in own
        }
        return {"kind": self.kind, "command": self.command, **own, **masked}

    @property
    def phrase(self) -> Phrase:
        """Return what the sentence is made of, without the device's own words."""
        own = self.as_json()
        return Phrase(
            REPLY, {name: value for name, value in own.items() if name not in ("text", "message", "command")}
        )


def utc(milliseconds: int) -> str:
    """Write a device's time for people."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _json(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
