"""A power cut in a model: what storage asks of the file system is recorded, then every disk that may be left is made.

`recording` notes writes, fsyncs, renames, unlinks and mkdirs below a folder while they are really done. `left`
gives the states in which a power cut after the first so many of them may leave that folder, in two models:

- `journal` (ext4 with ordered data, xfs, btrfs): names change in order and all at once; any fsync keeps all changes
  of names before it. Bytes of a file that were not fsynced may be there, missing, torn or zeros, each write by itself.
- `loose` (what POSIX promises): names too are safe only by an fsync of their folder, each by itself; an fsync of
  a file says nothing of its name. After a rename both names may be there, never none.

A sync of the whole file system is an fsync of each file and folder there, one after the other.
"""

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EXDEV
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

from receiver.store.durability import FileSystem

Pick = Callable[[int], int]  # gives a number below the one given: which of so many may have happened
Tree = dict[str, tuple[int, bytes] | None]  # path: file and bytes, or None for a folder
ROOT = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A name in a folder: given to a node, or taken away; a rename does both."""

    add: tuple[int, str, int] | None = None
    remove: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Data:
    """Bytes written to a file; `cut`: its new size instead."""

    node: int
    offset: int = 0
    data: bytes = b""
    cut: int | None = None

    def __repr__(self) -> str:
        return f"Data(node={self.node}, offset={self.offset}, {len(self.data)} bytes, cut={self.cut})"


@dataclass(frozen=True, slots=True)
class Sync:
    """An fsync of a file or folder."""

    node: int


@dataclass
class Log:
    """What was asked of the file system, in order, and which of it was reached when the test said so."""

    operations: list[Change | Data | Sync] = field(default_factory=list)
    folders: set[int] = field(default_factory=lambda: {ROOT})
    marks: list[tuple[int, Any]] = field(default_factory=list)

    def mark(self, what: Any) -> None:
        """Note that something is true from now on."""
        self.marks.append((len(self.operations), what))

    def marked(self, at: int) -> list[Any]:
        return [what for place, what in self.marks if place <= at]


class _Recorder:
    """Stands between storage and the os module for paths below one folder."""

    def __init__(self, root: Path, log: Log, separate: bool) -> None:
        self.root, self.log, self.separate = f"{root}/", log, separate
        self.names: dict[str, int] = {str(root): ROOT}  # path to node
        self.descriptors: dict[int, int] = {}
        self.nodes = count(1)
        self.real = {name: getattr(os, name) for name in (
            "open", "close", "write", "pwrite", "ftruncate", "truncate", "fsync", "rename", "replace", "unlink",
            "remove", "mkdir", "rmdir", "link",
        )}  # fmt: skip
        self.real_open = builtins.open

    def _mine(self, path: Any) -> str | None:
        text = os.fspath(path) if not isinstance(path, int) else ""
        return text if isinstance(text, str) and f"{text}/".startswith(self.root) else None

    def _place(self, path: str) -> tuple[int, str]:
        folder, _, name = path.rpartition("/")
        return self.names[folder], name

    def _add(self, path: str) -> int:
        node = next(self.nodes)
        self.log.operations.append(Change(add=(*self._place(path), node)))
        self.names[path] = node
        return node

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        mine = self._mine(path) if dir_fd is None else None
        existed = mine is not None and os.path.exists(mine)
        descriptor = int(self.real["open"](path, flags, mode, dir_fd=dir_fd))
        if mine is not None:
            if not existed:
                self._add(mine)
            elif flags & os.O_TRUNC:
                self.log.operations.append(Data(self.names[mine], cut=0))
            self.descriptors[descriptor] = self.names[mine]
        return descriptor

    def close(self, descriptor: int) -> None:
        self.descriptors.pop(descriptor, None)
        self.real["close"](descriptor)

    def write(self, descriptor: int, data: Any) -> int:
        offset = os.lseek(descriptor, 0, os.SEEK_CUR) if descriptor in self.descriptors else 0
        done = int(self.real["write"](descriptor, data))
        if descriptor in self.descriptors:
            self.log.operations.append(Data(self.descriptors[descriptor], offset, bytes(data[:done])))
        return done

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        done = int(self.real["pwrite"](descriptor, data, offset))
        self.log.operations.append(Data(self.descriptors[descriptor], offset, bytes(data[:done])))
        return done

    def ftruncate(self, descriptor: int, size: int) -> None:
        self.real["ftruncate"](descriptor, size)
        if descriptor in self.descriptors:
            self.log.operations.append(Data(self.descriptors[descriptor], cut=size))

    def truncate(self, path: Any, size: int) -> None:
        self.real["truncate"](path, size)
        if mine := self._mine(path):
            self.log.operations.append(Data(self.names[mine], cut=size))

    def fsync(self, descriptor: int) -> None:
        # not really done: the model says what an fsync is worth
        if descriptor in self.descriptors:
            self.log.operations.append(Sync(self.descriptors[descriptor]))

    def sync(self, file_system: FileSystem) -> None:
        if (folder := self.descriptors.get(file_system._descriptor)) is None:
            return
        mount = next(self._mount(path) for path, node in self.names.items() if node == folder)
        for path, node in list(self.names.items()):
            if not self.separate or self._mount(path) == mount:
                self.log.operations.append(Sync(node))

    def rename(self, old: Any, new: Any) -> None:
        source, target = self._mine(old), self._mine(new)
        if source and target and self.separate and self._mount(source) != self._mount(target):
            raise OSError(EXDEV, "Invalid cross-device link")
        self.real["rename"](old, new)
        if source and target:
            node = self.names.pop(source)
            self.log.operations.append(Change((*self._place(target), node), self._place(source)))
            self.names[target] = node

    def _mount(self, path: str) -> str:
        return path.removeprefix(self.root).partition("/")[0]

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self.real["unlink"](path, dir_fd=dir_fd)
        if mine := self._mine(path):
            del self.names[mine]
            self.log.operations.append(Change(remove=self._place(mine)))

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self.real["mkdir"](path, mode, dir_fd=dir_fd)
        if mine := self._mine(path):
            self.log.folders.add(self._add(mine))

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        self.real["rmdir"](path, dir_fd=dir_fd)
        if mine := self._mine(path):
            del self.names[mine]
            self.log.operations.append(Change(remove=self._place(mine)))

    def link(self, old: Any, new: Any) -> None:
        self.real["link"](old, new)
        if (source := self._mine(old)) and (target := self._mine(new)):
            self.names[target] = self.names[source]
            self.log.operations.append(Change(add=(*self._place(target), self.names[source])))

    def open_file(self, path: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
        if self._mine(path) is None or not set(mode) & set("wax+"):
            return self.real_open(path, mode, *given, **named)
        assert mode in ("w", "wb"), f"the recorder does not know open(…, {mode!r})"
        raw = io.BufferedWriter(_Raw(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)))
        return raw if mode == "wb" else io.TextIOWrapper(raw, encoding="utf-8")


class _Raw(io.RawIOBase):
    """A file whose writes go through the os module, where they are recorded."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        return os.write(self._descriptor, bytes(data))

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)


@contextmanager
def recording(root: Path, *, separate: bool = False) -> Iterator[Log]:
    """Record what is done below an empty folder; `separate`: each folder in it is a file system of its own."""
    log = Log()
    recorder = _Recorder(root, log, separate)
    with mock.patch.multiple(
        os, open=recorder.open, close=recorder.close, write=recorder.write, pwrite=recorder.pwrite,
        ftruncate=recorder.ftruncate, truncate=recorder.truncate, fsync=recorder.fsync, rename=recorder.rename,
        replace=recorder.rename, unlink=recorder.unlink, remove=recorder.unlink, mkdir=recorder.mkdir,
        rmdir=recorder.rmdir, link=recorder.link,
    ), mock.patch.object(FileSystem, "sync", lambda disk: recorder.sync(disk)), mock.patch.object(
        builtins, "open", recorder.open_file
    ), mock.patch.object(io, "open", recorder.open_file):  # fmt: skip
        yield log


def left(log: Log, at: int, model: str, pick: Pick) -> Tree:
    """Give one of the trees that a power cut after `at` operations may leave."""
    done = log.operations[:at]
    names = _names_in_order(done, pick) if model == "journal" else _names_loosely(done, pick)
    contents: dict[int, bytes] = {}
    tree: Tree = {}

    def walk(folder: int, prefix: str) -> None:
        for (where, name), node in names.items():
            if where != folder:
                continue
            if node in log.folders:
                tree[prefix + name] = None
                walk(node, f"{prefix}{name}/")
            else:
                if node not in contents:
                    contents[node] = _content(done, node, pick)
                tree[prefix + name] = (node, contents[node])

    walk(ROOT, "")
    return tree


def _names_in_order(done: list[Change | Data | Sync], pick: Pick) -> dict[tuple[int, str], int]:
    synced = max((i for i, operation in enumerate(done) if isinstance(operation, Sync)), default=-1)
    later = [i for i, operation in enumerate(done) if isinstance(operation, Change) and i > synced]
    kept = len(later) - pick(len(later) + 1)
    end = later[kept] if kept < len(later) else len(done)
    names: dict[tuple[int, str], int] = {}
    for operation in done[:end]:
        if isinstance(operation, Change):
            _apply(names, operation.add, operation.remove)
    return names


def _names_loosely(done: list[Change | Data | Sync], pick: Pick) -> dict[tuple[int, str], int]:
    synced: dict[int, int] = {op.node: i for i, op in enumerate(done) if isinstance(op, Sync)}
    names: dict[tuple[int, str], int] = {}
    for i, operation in enumerate(done):
        if not isinstance(operation, Change):
            continue
        add, remove = operation.add, operation.remove
        added = add is not None and (synced.get(add[0], -1) > i or pick(2) == 0)
        if add is not None and not added:
            remove = None  # never neither name
        elif remove is not None and not (add is not None and add[0] == remove[0]):
            remove = remove if synced.get(remove[0], -1) > i or pick(2) == 0 else None
        _apply(names, add if added else None, remove)
    return names


def _apply(
    names: dict[tuple[int, str], int], add: tuple[int, str, int] | None, remove: tuple[int, str] | None
) -> None:
    if remove is not None:
        names.pop(remove, None)
    if add is not None:
        names[add[0], add[1]] = add[2]


def _content(done: list[Change | Data | Sync], node: int, pick: Pick) -> bytes:
    synced = max((i for i, op in enumerate(done) if isinstance(op, Sync) and op.node == node), default=-1)
    content = bytearray()
    for i, operation in enumerate(done):
        if not isinstance(operation, Data) or operation.node != node:
            continue
        data, end = operation.data, operation.offset + len(operation.data)
        if operation.cut is not None:
            if i < synced or pick(2) == 0:
                content[operation.cut :] = bytes(max(0, operation.cut - len(content)))
            continue
        fate = 0 if i < synced else pick(4)  # there, missing, its first half only, zeros
        if fate == 1:
            continue
        data = data[: len(data) // 2] if fate == 2 else bytes(len(data)) if fate == 3 else data
        content.extend(bytes(max(0, end - len(content))) if fate != 2 else b"")
        if operation.offset > len(content):
            content.extend(bytes(operation.offset - len(content)))
        content[operation.offset : operation.offset + len(data)] = data
    return bytes(content)


def every(most: int) -> Iterator[Pick]:
    """Give picks that go through all combinations, at most so many; the first takes all that was done."""
    chosen: list[int] = []
    limits: list[int] = []
    for _ in range(most):
        place = iter(count())

        def pick(options: int, place: Iterator[int] = place) -> int:
            at = next(place)
            if at == len(chosen):
                chosen.append(0)
                limits.append(options)
            return chosen[at]

        yield pick
        del chosen[next(place) :], limits[len(chosen) :]
        while chosen and chosen[-1] == limits[-1] - 1:
            chosen.pop()
            limits.pop()
        if not chosen:
            return
        chosen[-1] += 1


def make(tree: Tree, root: Path) -> None:
    """Make a tree real."""
    root.mkdir(parents=True)
    made: dict[int, Path] = {}
    for name, held in tree.items():
        path = root / name
        if held is None:
            path.mkdir()
        elif held[0] in made:
            os.link(made[held[0]], path)
        else:
            path.write_bytes(held[1])
            made[held[0]] = path
