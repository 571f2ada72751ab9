"""Coalesces concurrent requests: callers that arrive while a batch is running share the next batch.

What costs about the same for one as for a hundred (a thread, a query, an fsync of a folder) is then paid once for
all that wait. Nobody waits for company: the first to ask goes at once. Called by `server` and `__main__`.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import gevent
from gevent.event import AsyncResult

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")
MOST = 256  # in one unit of work, so that the first of them does not wait for ever


class Batcher(Generic[Ask, Answer]):
    """Asks `work` for many at once; it gives an answer for each, in order, or an exception for one of them."""

    def __init__(self, work: Callable[[Sequence[Ask]], Sequence[Answer | Exception]]) -> None:
        self._work = work
        self._waiting: list[tuple[Ask, AsyncResult]] = []
        self._running = False

    def ask(self, wanted: Ask) -> Answer:
        """Give the answer for one; raises what the work raises, or gives as an exception."""
        result: AsyncResult = AsyncResult()
        self._waiting.append((wanted, result))
        if not self._running:
            self._running = True
            gevent.spawn(self._run)
        answer: Answer = result.get()
        return answer

    def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                answers = self._work([wanted for wanted, _ in batch])
            except Exception as error:  # noqa: BLE001 - it is raised where the answer is wanted
                answers = [error] * len(batch)
            for (_, result), answer in zip(batch, answers, strict=True):
                if isinstance(answer, Exception):
                    result.set_exception(answer)
                else:
                    result.set(answer)
        self._running = False
