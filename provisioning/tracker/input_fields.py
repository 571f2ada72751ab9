"""marshmallow fields that the arguments of commands and the schemas of forms and the API share. Pure.

Each refuses by a sentence for people that says what is allowed. `Moment` is the only reader of times that people and
programs give; what devices write is read by `language.reply`.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import ValidationError, fields

from provisioning.tracker.normalization import clean_text
from provisioning.tracker.parameters import as_integer
from provisioning.translation import N_, gettext

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # no camera has recorded anything before
BEFORE_EARLIEST = "This lies before the year 2000: give Unix seconds, or ISO 8601 with a time zone."
MILLISECONDS_FROM = (
    100_000_000_000  # a Unix time from here on is in milliseconds: in seconds it is the year 5138
)


WHOLE_NUMBER = N_("Give a whole number from %(low)s to %(high)s.")
WHOLE_SECONDS = N_("Give whole seconds from %(low)s to %(high)s.")


class Flag(fields.Boolean):
    """True or false, and no number or word that may stand for it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise ValidationError("Give true or false.")


class Choice(fields.Field[str]):
    """One of a few texts, exactly as they are written; enum members are returned as such."""

    def __init__(self, allowed: Iterable[str], **options: Any) -> None:
        super().__init__(**options)
        self.allowed = {str(member): member for member in allowed}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        if isinstance(value, str) and value in self.allowed:
            return self.allowed[value]
        raise ValidationError(f"Give one of: {', '.join(self.allowed)}.")


class WholeNumber(fields.Field[int]):
    """A whole number from `low` to `high`, or its decimal text; `refusal` is the sentence about any other."""

    def __init__(self, low: int, high: int, refusal: str = WHOLE_NUMBER, **options: Any) -> None:
        super().__init__(**options)
        self.low, self.high, self.refusal = low, high, refusal

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        number = as_integer(value)
        if number is None or not self.low <= number <= self.high:
            raise ValidationError(gettext(self.refusal, low=self.low, high=self.high))
        return number


class Moment(fields.Field[datetime]):
    """Unix seconds, Unix milliseconds, or ISO 8601 with a time zone, from the year 2000 on; an aware datetime.

    `whole_seconds`: milliseconds and fractions of Unix seconds are refused, because the caller needs whole seconds and
    a time that is 1000 times too large is a mistake.
    """

    def __init__(self, *, whole_seconds: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.whole_seconds = whole_seconds

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> datetime:
        try:
            return EPOCH + self._since_epoch(value)
        except OverflowError:
            raise ValidationError(self._form) from None

    @property
    def _form(self) -> str:
        whole = "whole " if self.whole_seconds else ""
        return f"Give {whole}Unix seconds, or ISO 8601 with a time zone like 2026-01-31T08:15:00Z."

    def _since_epoch(self, value: Any) -> timedelta:
        number: float | None = as_integer(value)
        if isinstance(value, float) and math.isfinite(value) and not self.whole_seconds:
            number = value
        if number is None:
            return self._iso_8601(value) - EPOCH
        since = (
            timedelta(seconds=number) if abs(number) < MILLISECONDS_FROM else timedelta(milliseconds=number)
        )
        if since < EARLIEST - EPOCH:
            raise ValidationError(BEFORE_EARLIEST)
        if self.whole_seconds and abs(number) >= MILLISECONDS_FROM:
            raise ValidationError("This looks like milliseconds: give Unix seconds (divide by 1000).")
        return since

    def _iso_8601(self, value: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(clean_text(value))
        except (AttributeError, TypeError, ValueError):
            raise ValidationError(self._form) from None
        # the year as it is written, whatever the zone: the API's document says it so
        if moment.year < EARLIEST.year:
            raise ValidationError(BEFORE_EARLIEST)
        if moment.tzinfo is None:
            raise ValidationError(
                "The time has no zone, so it could mean several moments: add Z or an offset like +02:00."
            )
        return moment
