"""Where finished files lie: a folder, or a bucket of an S3-compatible store. No sockets of devices, no database.

One small interface for both, held by one contract test (tests/test_media.py). Keys are relative, with slashes.
The receiver puts, the product reads and links.
"""

import contextlib
import errno
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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


def sync_folder(folder: Path) -> None:
    """Make a folder's entries survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder whose entry survives a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        return
    sync_folder(folder.parent)


LEAST_FREE = 16 * 2**20  # bytes: a long video and its neighbours
LEAST_INODES = 64


def lacks_room(folder: Path, name: str) -> str | None:
    """Say why no file can be taken into a folder, None if some can."""
    try:
        facts = os.statvfs(folder)
    except OSError as error:
        return f"the {name} cannot be reached: {error.strerror}"
    if not os.access(folder, os.W_OK):
        return f"the {name} cannot be written"
    if (free := facts.f_bavail * facts.f_frsize) < LEAST_FREE:
        return f"the {name} is full: {free // 2**20} MiB left"
    if facts.f_files and facts.f_favail < LEAST_INODES:  # some file systems do not count them
        return f"the {name} is full: {facts.f_favail} inodes left"
    return None


class Folder:
    """Plain files under one folder; `put` expects bytes that are fsynced already."""

    shared = False

    def __init__(self, root: Path) -> None:
        self.root = root
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
        with _translated():
            make_folder(target.parent)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            sync_folder(target.parent)

    def read(self, key: str, begin: int, count: int) -> bytes | None:
        with _translated():
            try:
                with (self.root / key).open("rb") as file:
                    file.seek(begin)
                    return file.read(max(count, 0))
            except FileNotFoundError:
                return None

    def fetch(self, key: str, target: Path) -> bool:
        with _translated(), _whole(target) as part:
            try:
                shutil.copyfile(self.root / key, part)
            except FileNotFoundError:
                if (self.root / key).is_file():
                    raise  # it is the target's folder that is not there
                return False
        return True

    def size(self, key: str) -> int | None:
        with _translated():
            path = self.root / key
            return path.stat().st_size if path.is_file() else None

    def move(self, old: str, new: str) -> None:
        source = self.root / old
        if source.exists():
            self.put(source, new)

    def delete(self, *keys: str) -> None:
        with _translated():
            for key in keys:
                (self.root / key).unlink(missing_ok=True)

    def entries(self, prefix: str) -> Iterator[Entry]:
        for path in (self.root / prefix).rglob("*"):
            with _translated():
                try:
                    facts = path.stat()
                except FileNotFoundError:
                    continue
            if stat.S_ISREG(facts.st_mode):
                modified = datetime.fromtimestamp(facts.st_mtime, UTC)
                yield Entry(str(path.relative_to(self.root)), facts.st_size, modified)

    def path(self, key: str) -> Path | None:
        found = self.root / key
        return found if found.is_file() else None

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
        make_folder(incoming)  # half files lie apart: whoever lists the media sees whole ones
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


PART = 8 * 2**20  # a larger file goes in parts of this size
PIECE = 256 * 1024  # bytes of an answer taken at once
LINK_SECONDS = 900
# A device waits meanwhile, some tens of seconds: what is not done by then is better tried again later
CONNECT_SECONDS, SILENCE_SECONDS, TRIES = 3, 10, 2
PATIENCE_SECONDS = 60.0  # for one file to go in or out, however steadily it drips


class Bucket:
    """A bucket of an S3-compatible store, below a prefix. Credentials and address as boto3 finds them."""

    shared = True

    def __init__(self, bucket: str, prefix: str, patience: float = PATIENCE_SECONDS) -> None:
        from boto3.s3.transfer import TransferConfig

        self.bucket, self.prefix = bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._patience = patience
        self._clients: dict[int, Any] = {}
        # no threads: under gevent each greenlet waits for its own request
        self._transfer = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)

    @property
    def _client(self) -> Any:
        """Give this thread's client: under gevent a connection belongs to the thread that opened it."""
        found = self._clients.get(threading.get_native_id())
        if found is None:
            found = self._clients[threading.get_native_id()] = self._connect()
        return found

    def _connect(self) -> Any:
        import boto3
        from botocore.config import Config

        options = Config(
            signature_version="s3v4", connect_timeout=CONNECT_SECONDS, read_timeout=SILENCE_SECONDS,
            max_pool_connections=64, retries={"total_max_attempts": TRIES, "mode": "standard"},
            s3={"addressing_style": "path"},
        )  # fmt: skip
        with _translated():
            return boto3.session.Session().client("s3", config=options)

    def put(self, source: str | Path, key: str) -> None:
        with _translated():
            if not os.path.exists(source):
                if self.size(key) is None:
                    raise MediaError("The file is neither here nor in the object store.")
                return
            # every part is checked by the store against its SHA-256
            self._client.upload_file(
                str(source), self.bucket, self.prefix + key, Config=self._transfer,
                Callback=_Patience(self._patience), ExtraArgs={"ChecksumAlgorithm": "SHA256"},
            )  # fmt: skip
            with contextlib.suppress(FileNotFoundError):
                os.unlink(source)

    def put_all(self, pairs: Sequence[tuple[str | Path, str]]) -> list[MediaError | None]:
        problems: list[MediaError | None] = []
        for source, key in pairs:
            try:
                self.put(source, key)
                problems.append(None)
            except MediaError as error:
                problems.append(error)
        return problems

    def write(self, key: str, data: bytes) -> None:
        with _translated():
            self._client.put_object(
                Bucket=self.bucket, Key=self.prefix + key, Body=data, ChecksumAlgorithm="SHA256"
            )

    def read(self, key: str, begin: int, count: int) -> bytes | None:
        if count <= 0:  # no range says "nothing": the store would send the whole file
            return None if self.size(key) is None else b""
        patience = _Patience(self._patience)
        with _translated():
            try:
                answer = self._client.get_object(
                    Bucket=self.bucket, Key=self.prefix + key, Range=f"bytes={begin}-{begin + count - 1}"
                )
            except self._client.exceptions.ClientError as error:
                if _code(error) in BEYOND:
                    return b""
                if _code(error) in MISSING:
                    return None
                raise
            pieces = []
            while piece := answer["Body"].read(PIECE):
                pieces.append(piece)
                patience(len(piece))
            return b"".join(pieces)

    def fetch(self, key: str, target: Path) -> bool:
        with _translated(), _whole(target) as part:
            try:
                with part.open("wb") as file:
                    self._client.download_fileobj(
                        self.bucket, self.prefix + key, file, Config=self._transfer,
                        Callback=_Patience(self._patience),
                    )  # fmt: skip
            except self._client.exceptions.ClientError as error:
                part.unlink()
                if _code(error) in MISSING:
                    return False
                raise
        return True

    def size(self, key: str) -> int | None:
        with _translated():
            try:
                return int(
                    self._client.head_object(Bucket=self.bucket, Key=self.prefix + key)["ContentLength"]
                )
            except self._client.exceptions.ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise

    def move(self, old: str, new: str) -> None:
        if self.size(old) is None:
            return
        with _translated():
            source = {"Bucket": self.bucket, "Key": self.prefix + old}
            self._client.copy(source, self.bucket, self.prefix + new, Config=self._transfer)
        self.delete(old)

    def delete(self, *keys: str) -> None:
        with _translated():
            if len(keys) == 1:
                self._client.delete_object(Bucket=self.bucket, Key=self.prefix + keys[0])
                return
            for begin in range(0, len(keys), 1000):  # the most that one request may name
                names = [{"Key": self.prefix + key} for key in keys[begin : begin + 1000]]
                told = self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": names, "Quiet": True}
                )
                if told.get("Errors"):
                    raise MediaError(f"The object store does not remove it: {told['Errors'][0].get('Code')}.")

    def entries(self, prefix: str) -> Iterator[Entry]:
        with _translated():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            for page in pages:
                for item in page.get("Contents", []):
                    yield Entry(item["Key"].removeprefix(self.prefix), item["Size"], item["LastModified"])

    def path(self, key: str) -> Path | None:
        return None

    def link(self, key: str, kind: str, name: str | None) -> str | None:
        disposition = f'attachment; filename="{name}"' if name else "inline"
        wanted = {
            "Bucket": self.bucket, "Key": self.prefix + key, "ResponseContentType": kind,
            "ResponseContentDisposition": disposition,
        }  # fmt: skip
        with _translated():
            return str(
                self._client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=LINK_SECONDS)
            )

    def ready(self) -> str | None:
        try:
            with _translated():
                self._client.head_bucket(Bucket=self.bucket)
        except MediaError as error:
            return str(error)
        return None


MISSING = ("404", "NoSuchKey", "NotFound")
BEYOND = ("416", "InvalidRange", "RequestedRangeNotSatisfiable")


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code"))


class _TooSlow(Exception):
    """A file took longer than anybody waits."""


class _Patience:
    """Called with each piece of a file that went in or out: raises when it takes too long in all."""

    def __init__(self, seconds: float) -> None:
        self._until, self._seconds = time.monotonic() + seconds, seconds

    def __call__(self, count: int) -> None:
        if time.monotonic() > self._until:
            raise _TooSlow(f"the file took longer than {self._seconds:g} s")


@contextlib.contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Give a name to write under; what came whole gets its own name at the end, and what did not is removed."""
    part = target.with_name(f"{target.name}.tmp")
    try:
        yield part
        if part.exists():
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


class _translated:
    """Turns what a file system or boto3 raises into MediaError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError):
            raise MediaError(f"The file cannot be kept or read: {error.strerror or error}.") from error
        if error is None or isinstance(error, MediaError) or not isinstance(error, Exception):
            return
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        if isinstance(error, BotoCoreError | ClientError | Boto3Error | ResponseParserError | _TooSlow):
            raise MediaError(f"The object store does not do it: {error}") from error


def connect(url: str) -> Media:
    """Give the store that MEDIA_URL names: file:///folder or s3://bucket/prefix."""
    if url.startswith("s3://"):
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        return Bucket(bucket, prefix)
    return Folder(Path(url.removeprefix("file://")))
