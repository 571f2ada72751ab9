"""Runs blocking work (password hashing, image work) off gevent's event loop. One of the few gevent rooms."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import gevent
from gevent import monkey

P = ParamSpec("P")
T = TypeVar("T")


def run(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` in a native thread when this process runs on gevent, directly otherwise; give its result."""
    if not monkey.is_module_patched("socket"):
        return work(*args, **kwargs)
    return gevent.get_hub().threadpool.apply(work, args, kwargs)
