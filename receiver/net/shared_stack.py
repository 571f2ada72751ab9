"""Runs short non-blocking calls on one shared greenlet stack, so that 10,000 connection greenlets stay small.

Each greenlet keeps the memory that its deepest call once touched, and ten thousand connections have ten thousand
stacks. Calls that only one connection makes at a time run on one stack for all. Called by `server` and `__main__`.
"""

from collections.abc import Callable
from typing import TypeVar

from greenlet import getcurrent, greenlet

Result = TypeVar("Result")


class SharedStack:
    """Runs one call at a time; the caller gets the result when it returns."""

    def __init__(self) -> None:
        self._stack = greenlet(self._serve)
        self.busy = False  # in work that waits after all: the next caller has to use its own stack

    def do(self, work: Callable[..., Result], *given: object) -> Result:
        """Give what the work gives; raises what it raises."""
        if self.busy:
            return work(*given)
        self.busy = True
        self._stack.parent = getcurrent()
        try:
            result, error = self._stack.switch(work, given)
        finally:
            self.busy = False
        if error is not None:
            raise error
        return result

    def _serve(self, work: Callable[..., object], given: tuple[object, ...]) -> None:
        while True:
            outcome: tuple[object, BaseException | None]
            try:
                outcome = work(*given), None
            except BaseException as error:  # noqa: BLE001 - it is raised where the work is wanted
                outcome = None, error
            caller = self._stack.parent
            del work, given
            work, given = caller.switch(outcome)
