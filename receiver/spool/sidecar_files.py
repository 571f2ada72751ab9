"""Reads and writes sidecars on disk: in place, or replaced as a whole."""

import contextlib
import errno
import json
import os
from pathlib import Path

from receiver.spool.sidecar import SidecarRecord, sound
from receiver.store.durability import sync_folder


def overwrite(path: str, value: SidecarRecord) -> int:
    """Write a sidecar in place, new or not; give its descriptor."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        data = json.dumps(value).encode()
        os.ftruncate(descriptor, written := os.write(descriptor, data))
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def replace(path: str, value: SidecarRecord, *, safe: bool) -> None:
    """Write a sidecar over the one that is there: at any moment one of both can be read."""
    try:
        with open(f"{path}.tmp", "w") as file:
            json.dump(value, file)
            if safe:
                file.flush()
                os.fsync(file.fileno())
        os.replace(f"{path}.tmp", path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(f"{path}.tmp")  # a full disk must not fill with what cannot be read
        raise
    if safe:
        sync_folder(Path(path).parent)


def read_sidecar(path: Path) -> SidecarRecord | None:
    """Give what a sidecar says, None if it is not there or cannot be believed."""
    try:
        return sound(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None
