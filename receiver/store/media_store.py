"""The port to media stores: what each store does, and its errors. No sockets, no database.

Keys are relative, with slashes. The receiver puts, the product reads and links. The stores are `local_folder` and `s3`,
held to this interface by one contract test (tests/test_media.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol


class MediaError(Exception):
    """The store is away or refuses; what was asked for has not happened, or may be repeated harmlessly."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored object."""

    key: str
    size: int
    modified: datetime


class Media(Protocol):
    """What a media store does. Every method raises MediaError when the store cannot do it now."""

    shared: bool  # whether other machines see the same files

    def put(self, source: str | Path, key: str) -> None:
        """Make a local file safe under a key, then remove it where it was. Repeating it is harmless.

        Raises MediaError also where the file is neither here nor under its key: nothing is safe then.
        """

    def put_all(self, pairs: Sequence[tuple[str | Path, str]]) -> list[MediaError | None]:
        """Do the same for many files at once; give for each what went wrong, or None."""

    def write(self, key: str, data: bytes) -> None:
        """Make a few bytes safe under a key, over what was there. Repeating it is harmless."""

    def read(self, key: str, begin: int, count: int) -> bytes | None:
        """Give bytes of a file, fewer where it ends before; None if it is not there."""

    def fetch(self, key: str, target: Path) -> bool:
        """Copy a file to a local path, whole or not at all; False if it is not there."""

    def size(self, key: str) -> int | None:
        """Give a file's size, None if it is not there."""

    def move(self, old: str, new: str) -> None:
        """Give a file another key. Repeating it is harmless, and so is a file that is not there."""

    def delete(self, *keys: str) -> None:
        """Remove files, those that are there."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Give all files under a prefix that ends in a slash, however many."""

    def path(self, key: str) -> Path | None:
        """Give the local path of a file, None if it is not there or the store is not a folder."""

    def link(self, key: str, kind: str, name: str | None) -> str | None:
        """Give an address that serves the file for some minutes, with ranges; None if the store has none."""

    def ready(self) -> str | None:
        """Give None if files can be put now, else why not."""


def is_away(media: Media, error: Exception) -> bool:
    """Say whether the store is away for every file, and not only the one that failed.

    A folder is never: its other files are tried as quickly as they fail.
    """
    return media.shared and isinstance(error, MediaError) and media.ready() is not None


class translated:
    """Turns what a file system raises into MediaError; a store adds to it what its client raises."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError):
            raise MediaError(f"The file cannot be kept or read: {error.strerror or error}.") from error
