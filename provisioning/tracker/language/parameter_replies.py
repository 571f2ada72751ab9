"""Replies to setparam and getparam: values, and ids or values that the device does not know.

Source: vendor's FMB setparam and getparam pages.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from provisioning.tracker.language.parameter_commands import GetParam, SetParam
from provisioning.tracker.language.reply import Candidate, Fit, Progress, Reply, StatusFact
from provisioning.tracker.language.reply_forms import Extent, Piece, form
from provisioning.tracker.parameters import CATALOGUE, CREDENTIALS, SECRET_SHOWN, describe, same, titled
from provisioning.translation import gettext

_PAIR = re.compile(r"\s*([0-9]{1,8})\s*:(.*)", re.DOTALL)
_MISSING = re.compile(r"\s*([0-9]{1,8})\s*:?\s+doesn.?t\s+exist\W*", re.IGNORECASE)
_VALUE_WORD = re.compile(r"\s+(?:new\s+)?(?:value|text)\s*:", re.IGNORECASE)


@dataclass(frozen=True)
class Values(Reply, kind="values", commands=(SetParam, GetParam)):
    """Parameter values that the device holds ("Param ID:"), or has just taken over ("New value", `new`)."""

    values: Mapping[int, str]
    new: bool

    forms: ClassVar = (
        form(
            r"(?:Param\s*ID\s*:?\s*(?=[0-9]{1,8}\s+(?:new\s+)?(?:value|text)\s*:)"
            r"|New\s+value\s*:?\s*(?=[0-9]{1,8}\s*:))",
            extent=Extent.OPEN,
        ),
    )

    @classmethod
    def read(cls, piece: Piece) -> Iterable[Reply]:
        """Read "151 Value:18;150:1"; ids that the device does not have may stand between the others."""
        values: dict[int, str] = {}
        missing: list[int] = []
        for fragment in re.split(r"[;\r\n]", _VALUE_WORD.sub(":", piece.rest)):
            if absent := _MISSING.fullmatch(fragment):
                missing.append(int(absent[1]))
            elif pair := _PAIR.fullmatch(fragment):
                values[int(pair[1])] = _value(int(pair[1]), pair[2].strip())
        if values:
            yield cls(values, piece.text[:3].casefold() == "new", text=piece.text)
        if missing:
            yield ParametersRefused("does_not_exist", tuple(missing), text=piece.text)

    @property
    def answers(self) -> tuple[str, ...]:
        return (SetParam.name,) if self.new else super().answers

    @property
    def progress(self) -> Progress:
        return Progress.COMPARED

    @property
    def shown(self) -> dict[int, str]:
        """Return the values with credentials as dots."""
        return {
            id: SECRET_SHOWN if id in CREDENTIALS and value else value for id, value in self.values.items()
        }

    @property
    def sentence(self) -> str:
        empty = gettext("empty")
        said = "; ".join(f"{titled(id)}: {describe(id, value) or empty}" for id, value in self.values.items())
        if self.new:
            return gettext("The tracker has taken over: %(values)s.", values=said)
        return gettext("The tracker has: %(values)s.", values=said)

    def strength(self, candidate: Candidate) -> Fit:
        arguments = candidate.arguments
        if candidate.kind == GetParam.name:
            asked_for = {int(number) for number in arguments["parameters"]}
            return Fit.STRONG if set(self.values) <= asked_for else Fit.NONE
        if "encrypted" in arguments:
            return Fit.STRONG if set(self.values) <= CREDENTIALS else Fit.NONE
        asked = {int(number): str(value) for number, value in arguments["parameters"].items()}
        if not set(self.values) <= set(asked):
            return Fit.NONE
        agree = all(same(number, value, asked[number]) for number, value in self.values.items())
        return Fit.STRONG if agree else Fit.WEAK

    def status_facts(self, imei: str) -> Iterable[StatusFact]:
        return [StatusFact(f"parameter.{number}", value, None) for number, value in self.shown.items()]

    def joined(self, following: Reply) -> Reply | None:
        if not isinstance(following, Values) or following.new != self.new:
            return None
        return Values({**self.values, **following.values}, self.new, text=f"{self.text} {following.text}")

    def without_end(self, text: str) -> Reply | None:
        if ":" not in text.rpartition(";")[2]:
            return self
        kept = dict(list(self.values.items())[:-1])
        return replace(self, values=kept) if kept else None

    def as_json(self, secrets: Iterable[str] = ()) -> dict[str, Any]:
        return super().as_json(secrets) | {"values": {str(id): value for id, value in self.shown.items()}}


@dataclass(frozen=True)
class ParametersRefused(Reply, kind="parameters_refused", commands=(SetParam, GetParam)):
    """The device does not know a parameter or its value; `ids` is empty where it does not say which."""

    code: str
    ids: tuple[int, ...] = ()

    forms: ClassVar = (
        form(r"(?:warning\s*:?\s*)?not\s+supported\s+param\s*id\s+or\s+value\s+detected", "not_supported"),
        form(r"error\s*:?\s*while\s+configuring\s+parameters?", "configuring_failed"),
        form(r"invalid\s+parameter\s+id(?:\s+provided)?", "invalid_id"),
        form(r"param\s*id\s*:?\s*(?P<id>[0-9]{1,8})\s+doesn.?t\s+exist", "does_not_exist"),
    )

    @classmethod
    def read(cls, piece: Piece) -> Iterable[Reply]:
        """Read the id, where there is one."""
        id = piece["id"]
        yield cls(piece.form.code, (int(id),) if id else (), text=piece.text)

    @property
    def answers(self) -> tuple[str, ...]:
        return (SetParam.name,) if self.code in ("not_supported", "configuring_failed") else (GetParam.name,)

    @property
    def progress(self) -> Progress:
        return Progress.COMPARED

    @property
    def sentence(self) -> str:
        if self.code == "not_supported":
            return gettext(
                "The tracker did not take over everything: it does not know a parameter or a value."
                " Compare what it confirmed with what was asked; its firmware may be too old."
            )
        if self.code == "configuring_failed":
            return gettext(
                "The tracker could not store the parameters. Read them back, then send what is missing again."
            )
        ids = ", ".join(map(titled, self.ids)) or gettext("one that was asked for")
        return gettext(
            "The tracker has no such parameter (%(ids)s). Check the number and the tracker's firmware.",
            ids=ids,
        )

    def strength(self, candidate: Candidate) -> Fit:
        asked = {int(number) for number in candidate.arguments.get("parameters", ())}
        return Fit.STRONG if self.ids and set(self.ids) <= asked else Fit.WEAK


def _value(id: int, written: str) -> str:
    # Words or a full stop may follow a number; a text is taken as it stands.
    parameter = CATALOGUE.get(id)
    if parameter is not None:
        # no value of these ends in "@": with it GSM-7 fills the last octet of a text of 8n-1 characters
        written = written.removesuffix("@")
    number = re.match(r"-?[0-9]+(?=\.?(?:\s|$))", written)
    return number[0] if number and (parameter is None or parameter.kind != "text") else written
