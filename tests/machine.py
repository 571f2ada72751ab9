"""What one run of the tests shares between its processes: a folder, ports, things that are made once, servers.

pytest-xdist runs the tests in several processes. Whatever is expensive is made by the first process that needs it,
under a lock, and used by all; conftest.py ends the servers after the last test. Trials and benchmarks use this module
without pytest: then the process is alone, and its folder goes when it ends.
"""

import atexit
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

FOLDER = "DUALCAM_TESTS_FOLDER"  # the environment variable by which a run's processes find its folder
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30  # more than a whole run holds at a time
FIRST_PORT = 12_000  # browsers refuse some below
_given: set[int] = set()


def place() -> Path:
    """Give the folder for the files of tests: in memory where there is enough, as each fsync to a disk is a wait."""
    try:
        free = min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available)
    except OSError:
        free = 0
    return MEMORY if free >= MEMORY_BYTES else Path("/tmp")


def folder() -> Path:
    """Give the folder of this run; make one that goes with this process where no run is under way."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="dualcam-tests-", dir=place())
        Path(os.environ[FOLDER]).chmod(0o711)  # PostgreSQL's user passes through
        atexit.register(leave, os.environ[FOLDER])
    return Path(os.environ[FOLDER])


def leave(path: str) -> None:
    """End what was started for the run of this folder, and remove the folder."""
    for note in Path(path).glob("*.process"):
        _end(note)
    shutil.rmtree(path, ignore_errors=True)
    if os.environ.get(FOLDER) == path:
        del os.environ[FOLDER]


def once(name: str, make: Callable[[], str]) -> str:
    """Give what `make` gave to the first process of the run that asked for this name."""
    result = folder() / f"{name}.made"
    with locked(name):
        if not result.exists():
            result.write_text(make())
    return result.read_text()


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock of the run until the end of the block."""
    with (folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def keep_until_the_end(pid: int) -> None:
    """Note a process that is ended after the last test, if nobody has ended it by then."""
    (folder() / f"{pid}.process").write_text(str(psutil.Process(pid).create_time()))


def _end(note: Path) -> None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(int(note.stem))
        if str(process.create_time()) != note.read_text():
            return  # the number belongs to another process by now
        started = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGQUIT)  # PostgreSQL and SeaweedFS end at once
        _, left = psutil.wait_procs(started, timeout=10)
        for one in left:
            with contextlib.suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(left, timeout=10)


def free_port() -> int:
    """Give a port of loopback that nobody listens on, for a process that is started next.

    Never one twice, not to another test run of this machine either, and none of those that the kernel gives to
    outgoing connections, which some other process would take before the one that is meant.
    """
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = secrets.choice(range(FIRST_PORT, max(first_outgoing, FIRST_PORT + 10_000)))
        if port not in _given and _reserve(port):
            _given.add(port)
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port
    raise AssertionError("no port is free")


_ports: int | None = None


def _reserve(port: int) -> bool:
    """Lock the byte of this number in a file that all test runs of this user share, until this process ends."""
    global _ports
    if _ports is None:
        # never closed: closing any descriptor of the file would give up all locks of the process
        _ports = os.open(f"/tmp/dualcam-ports-{os.geteuid()}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(_ports, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True
