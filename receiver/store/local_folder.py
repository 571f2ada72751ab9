"""The media store of one machine: plain files in one folder, with exactly the bytes of the camera."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from receiver.store.durability import lacks_room, make_folder, sync_folder, whole
from receiver.store.media_store import Entry, MediaError, translated


class LocalFolder:
    """Plain files under one folder; `put` expects bytes that are fsynced already."""

    shared = False

    def __init__(self, root: Path) -> None:
        self.root = root
        with translated():
            make_folder(root)

    def put(self, source: str | Path, key: str) -> None:
        (error,) = self.put_all([(source, key)])
        if error is not None:
            raise error

    def put_all(self, pairs: Sequence[tuple[str | Path, str]]) -> list[MediaError | None]:
        problems: list[OSError | None] = [None] * len(pairs)
        moved: dict[Path, list[int]] = {}
        for number, (source, key) in enumerate(pairs):
            target = self.root / key
            try:
                if self._take(source, target):
                    moved.setdefault(target.parent, []).append(number)
                else:
                    problems[number] = FileNotFoundError(errno.ENOENT, "it is neither here nor there")
            except OSError as error:
                problems[number] = error
        for folder, numbers in moved.items():  # one fsync for all that went into a folder
            try:
                sync_folder(folder)
            except OSError as error:
                for number in numbers:
                    problems[number] = error
        return [
            MediaError(f"The media folder cannot take the file: {error.strerror}.") if error else None
            for error in problems
        ]

    def _take(self, source: str | Path, target: Path) -> bool:
        """Move a file in; False where it is neither here nor there."""
        try:
            _move(source, target, self.root / "incoming")
        except FileNotFoundError:
            if not os.path.exists(source):
                return target.exists()  # another process moved it a moment ago
            make_folder(target.parent)
            _move(source, target, self.root / "incoming")
        return True

    def write(self, key: str, data: bytes) -> None:
        target = self.root / key
        temporary = target.with_name(f".{target.name}.tmp")
        with translated():
            make_folder(target.parent)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            sync_folder(target.parent)

    def read(self, key: str, begin: int, count: int) -> bytes | None:
        with translated():
            try:
                with (self.root / key).open("rb") as file:
                    file.seek(begin)
                    return file.read(max(count, 0))
            except FileNotFoundError:
                return None

    def fetch(self, key: str, target: Path) -> bool:
        with translated(), whole(target) as part:
            try:
                shutil.copyfile(self.root / key, part)
            except FileNotFoundError:
                if (self.root / key).is_file():
                    raise  # it is the target's folder that is not there
                return False
        return True

    def size(self, key: str) -> int | None:
        with translated():
            path = self.root / key
            return path.stat().st_size if path.is_file() else None

    def move(self, old: str, new: str) -> None:
        source = self.root / old
        if os.path.exists(source):
            self.put(source, new)

    def delete(self, *keys: str) -> None:
        with translated():
            for key in keys:
                (self.root / key).unlink(missing_ok=True)

    def entries(self, prefix: str) -> Iterator[Entry]:
        with translated():
            for path in (self.root / prefix).rglob("*"):
                try:
                    facts = path.stat()
                except OSError:
                    continue  # gone meanwhile, or not to be looked at: the others are given
                if stat.S_ISREG(facts.st_mode):
                    modified = datetime.fromtimestamp(facts.st_mtime, UTC)
                    yield Entry(str(path.relative_to(self.root)), facts.st_size, modified)

    def path(self, key: str) -> Path | None:
        found = self.root / key
        return found if os.path.isfile(found) else None

    def link(self, key: str, kind: str, name: str | None) -> str | None:
        return None

    def ready(self) -> str | None:
        return lacks_room(self.root, "media folder")


def _move(source: str | Path, target: Path, incoming: Path) -> None:
    """Rename, or copy across file systems: at any moment one of the names has all bytes. The folder's fsync is left."""
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # incomplete files lie in another folder: a listing of the media has whole files only
        make_folder(incoming)
        temporary = incoming / f"{target.name}.{os.getpid()}.tmp"
        try:
            with open(source, "rb") as old, temporary.open("wb") as new:
                shutil.copyfileobj(old, new, 1 << 20)
                new.flush()
                os.fsync(new.fileno())
            temporary.replace(target)
        except OSError:
            temporary.unlink(missing_ok=True)  # the disk is full: leave it no fuller
            raise
        sync_folder(target.parent)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(source)
