"""Hands over many items in one call; if it is refused, halves them until the refused item is found. Pure.

A thing that the product refuses must hold up no other: the bulk is halved until it stands alone. Whatever else fails
is raised, and what was not delivered by then is delivered again: the database is away, and nothing is wrong with the
things.
"""

from collections.abc import Callable
from typing import TypeVar

from receiver.backend.port import RecordRefused

Item = TypeVar("Item")


def deliver(
    waiting: Callable[[int], list[Item]],
    take: Callable[[list[Item]], object],
    done: Callable[[list[Item]], object],
    refused: Callable[[Item, RecordRefused], object],
    most: int,
) -> None:
    """Have `take` take all that is waiting, `most` at once; each thing is done with once, taken or refused.

    `waiting` gives the first of what is left, as many as it is asked for.
    """
    size = most
    while things := waiting(size):
        try:
            take(things)
        except RecordRefused as error:
            if len(things) > 1:
                size = len(things) // 2
                continue
            _take_once_more(things, take, refused, error)
        done(things)
        size = min(2 * size, most)


def _take_once_more(
    things: list[Item],
    take: Callable[[list[Item]], object],
    refused: Callable[[Item, RecordRefused], object],
    error: RecordRefused,
) -> None:
    """Try the one again: another process may have stored the same at that moment, and has by now."""
    try:
        take(things)
    except RecordRefused:
        refused(things[0], error)
