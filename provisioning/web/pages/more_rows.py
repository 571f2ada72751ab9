"""How many rows of a long list a page shows: few at first, fewer still on a phone, then as many as its address says.

The link "More" raises the number in the address. It counts from the newest row on, so that a part that is loaded anew,
a reload and the browser's Back show all that was on the screen. A page ends at a bound; older rows are on the next one.
"""

from dataclasses import dataclass

from flask import request

STEP = 50  # rows that "More" adds
STEPS = 4  # as often; then the next page begins


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows a page shows, how many of them a phone shows at first, and how many there are after "More".

    `more` is None on a page that takes no further ones; `is_asked`: the address says how many.
    """

    shown: int
    on_phone: int
    more: int | None
    is_asked: bool

    @property
    def address(self) -> int | None:
        """Give the number as the page's own address has it."""
        return self.shown if self.is_asked else None

    def is_beyond(self, index: int) -> bool:
        """Condition: a phone does not show the row with this index before somebody asks for more."""
        return not self.is_asked and index >= self.on_phone

    def last_read(self, count: int) -> int:
        """Give the index of the row after which a phone goes on, where the page has so many rows."""
        return (count if self.is_asked else min(count, self.on_phone)) - 1


def wanted(first: int, on_phone: int, most: int | None = None) -> RowCount:
    """Read from the address how many rows are wanted, `first` where it says nothing; each number is within bounds.

    `most`: how many rows the page has at most, where it says that otherwise.
    """
    bound = first + STEPS * STEP if most is None else max(first, most)
    asked = request.args.get("rows", None, int)
    shown = first if asked is None else max(first, min(asked, bound))
    is_asked = asked is not None
    more = None if is_asked and shown == bound else min(shown + STEP, bound)
    return RowCount(shown, on_phone, more, is_asked)
