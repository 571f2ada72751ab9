"""Runs blocking work (password hashing) off gevent's event loop, and bounds how much of it there is at once.

One of the few modules that import gevent.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from gevent import monkey
from gevent.threadpool import ThreadPool

T = TypeVar("T")
BACKGROUND = 10  # of nice: the event loop goes first where processors are short


class Busy(Exception):
    """Too many are at the same kind of work."""


class Places:
    """Bounds how many are at a kind of work in this process; whoever is beyond is refused at once."""

    def __init__(self) -> None:
        self._taken = 0

    @contextmanager
    def take(self, most: int) -> Iterator[None]:
        """Hold a place until the end of the block. Raises Busy where `most` are taken already."""
        if self._taken >= most:
            raise Busy
        self._taken += 1
        try:
            time.sleep(0)  # of many that come together those beyond are refused first, before anybody begins
            yield
        finally:
            self._taken -= 1


class Pool:
    """Native threads of their own for one kind of work, where this process runs on gevent."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ThreadPool | None = None  # made at the first use, since a process forks before it works

    def run(self, work: Callable[..., T], *args: Any) -> T:
        """Call `work` in a thread, directly where this process does not run on gevent; give its result."""
        if not monkey.is_module_patched("socket"):
            return work(*args)
        self._pool = self._pool or ThreadPool(self._threads)
        return self._pool.apply(_in_the_background, (work, *args))


def _in_the_background(work: Callable[..., T], *args: Any) -> T:
    # of this thread alone, and of those that it starts; an ordinary user may only lower it
    os.setpriority(os.PRIO_PROCESS, 0, max(BACKGROUND, os.getpriority(os.PRIO_PROCESS, 0)))
    return work(*args)
