"""The media store for several machines: a bucket of an S3-compatible store. Only this module imports boto3."""

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from receiver.store.durability import whole
from receiver.store.media_store import Entry, MediaError, translated

PART = 8 * 2**20  # a larger file goes in parts of this size
PIECE = 256 * 1024  # bytes of an answer taken at once
LINK_SECONDS = 900
# A device waits meanwhile, some tens of seconds: what is not done by then is better tried again later
CONNECT_SECONDS, SILENCE_SECONDS, TRIES = 3, 10, 2
PATIENCE_SECONDS = 60.0  # for one file to go in or out, however steadily it drips
MISSING = ("404", "NoSuchKey", "NotFound")
BEYOND = ("416", "InvalidRange", "RequestedRangeNotSatisfiable")
_making = threading.Lock()  # a session of boto3 is for one thread at a time, its clients are for all


@functools.cache
def _session() -> boto3.session.Session:
    """Give the process's session: each new one reads the descriptions of all services, for a fifth of a second."""
    return boto3.session.Session()


class S3Bucket:
    """A bucket of an S3-compatible store, below a prefix. Credentials and address as boto3 finds them."""

    shared = True

    def __init__(self, bucket: str, prefix: str, patience: float = PATIENCE_SECONDS) -> None:
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
        options = Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=SILENCE_SECONDS,
            max_pool_connections=64,
            retries={"total_max_attempts": TRIES, "mode": "standard"},
            s3={"addressing_style": "path"},
        )
        with _translated(), _making:
            return _session().client("s3", config=options)

    def put(self, source: str | Path, key: str) -> None:
        with _translated():
            if not os.path.exists(source):
                if self.size(key) is None:
                    raise MediaError("The file is neither here nor in the object store.")
                return
            # every part is checked by the store against its SHA-256
            self._client.upload_file(
                str(source),
                self.bucket,
                self.prefix + key,
                Config=self._transfer,
                Callback=_Patience(self._patience),
                ExtraArgs={"ChecksumAlgorithm": "SHA256"},
            )
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
        with _translated(), whole(target) as part:
            try:
                with part.open("wb") as file:
                    self._client.download_fileobj(
                        self.bucket,
                        self.prefix + key,
                        file,
                        Config=self._transfer,
                        Callback=_Patience(self._patience),
                    )
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
                reply = self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": names, "Quiet": True}
                )
                if reply.get("Errors"):
                    raise MediaError(
                        f"The object store does not remove it: {reply['Errors'][0].get('Code')}."
                    )

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
            "Bucket": self.bucket,
            "Key": self.prefix + key,
            "ResponseContentType": kind,
            "ResponseContentDisposition": disposition,
        }
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


class _translated(translated):
    """Turns what boto3 raises into MediaError too."""

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        if isinstance(error, BotoCoreError | ClientError | Boto3Error | ResponseParserError | _TooSlow):
            raise MediaError(f"The object store does not do it: {error}") from error
