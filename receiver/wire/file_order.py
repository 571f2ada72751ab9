"""Which of the files that a device offers is asked for next, and which are not asked for again. Pure."""

BY_PATH = "by path"  # stands in the order of files for the one whose path must be asked for


class FileOrder:
    """The order of files of one session: what is offered, less what was stored or passed over."""

    __slots__ = ("_last", "_offered", "_order", "_skipped", "_stored")

    def __init__(self, order: tuple[str, ...]) -> None:
        self._order = (*order, BY_PATH)
        self._offered: tuple[str, ...] = ()
        self._last: frozenset[str] = frozenset()
        self._skipped: frozenset[str] = frozenset()
        self._stored: frozenset[tuple[str, int]] = frozenset()  # identifier and timestamp

    def offer(self, names: tuple[str, ...]) -> None:
        """Take which files the device offers now."""
        self._offered = names

    def put_last(self, names: frozenset[str]) -> None:
        """Ask for these files after all others."""
        self._last = names

    def skip(self, name: str) -> None:
        """Ask no more for a file in this session."""
        self._skipped |= {name}

    def is_skipped(self, name: str) -> bool:
        """Say whether a file is not asked for any more."""
        return name in self._skipped

    def note_stored(self, identifier: str, timestamp: int) -> None:
        """Take that a file is stored; `timestamp` is 0 where the device gave none."""
        self._stored |= {(identifier, timestamp)}

    def is_stored(self, identifier: str, timestamp: int) -> bool:
        """Say whether this session has stored a file of this identifier and time."""
        return (identifier, timestamp) in self._stored

    @property
    def has_stored(self) -> bool:
        """Whether this session has stored any file."""
        return bool(self._stored)

    def next(self) -> str | None:
        """Give the file to ask for, None where nothing is left."""
        left = [name for name in self._order if name in self._offered and name not in self._skipped]
        return min(left, key=self._last.__contains__, default=None)  # the first of the least
