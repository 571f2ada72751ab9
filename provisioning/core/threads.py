"""Runs blocking work (password hashing) off gevent's event loop. One of the few gevent rooms."""

from collections.abc import Callable
from typing import Any, TypeVar

from gevent import monkey
from gevent.threadpool import ThreadPool

T = TypeVar("T")


class Busy(Exception):
    """Too many wait for the same kind of work."""


class Pool:
    """Native threads of their own for one kind of work, where this process runs on gevent."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ThreadPool | None = None  # made at the first use, since a process forks before it works
        self._running = 0  # or waiting

    def run(self, work: Callable[..., T], *args: Any, most_waiting: int | None = None) -> T:
        """Call `work` in a thread, directly where this process does not run on gevent; give its result.

        Raises Busy where more than `most_waiting` wait already.
        """
        if not monkey.is_module_patched("socket"):
            return work(*args)
        if most_waiting is not None and self._running >= self._threads + most_waiting:
            raise Busy
        self._pool = self._pool or ThreadPool(self._threads)
        self._running += 1
        try:
            return self._pool.apply(work, args)
        finally:
            self._running -= 1
