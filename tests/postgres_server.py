"""A PostgreSQL server of our own in a temporary folder on loopback, for tests and benchmarks."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from machine import folder as run_folder
from machine import free_port, keep_until_the_end, once

QUICK = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off",
}  # fmt: skip


def _binaries() -> Path:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    if not versions:
        raise RuntimeError("PostgreSQL is not installed; `make test` installs it.")
    return versions[-1].parent


class Server:
    """The server process; `stop` and `start` again for trials in which the database goes away."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.folder, self.port, self.process = folder, free_port(), None
        self.url = f"postgresql://dualcam@127.0.0.1:{self.port}"
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run(
            [_binaries() / "initdb", "-D", folder / "data", "-U", "dualcam", "--auth=trust", "-E", "UTF8",
             "--no-locale"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder, **self._as_user,
        )  # fmt: skip
        options = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": folder,
            "max_connections": 200,
        } | ({} if durable else QUICK)  # fmt: skip
        self._arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]

    process: "subprocess.Popen[bytes] | None"

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [_binaries() / "postgres", "-D", self.folder / "data", *self._arguments],
                stdout=log, stderr=log, cwd=self.folder, **self._as_user,
            )  # fmt: skip
        deadline = time.monotonic() + 120
        while not _answers(f"{self.url}/postgres"):
            if time.monotonic() > deadline:
                raise TimeoutError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self, *, kill: bool = False) -> None:
        """End at once: with SIGINT (connections are cut), or as kill -9 would."""
        if self.process is None:
            return
        self.process.kill() if kill else self.process.send_signal(2)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


@contextlib.contextmanager
def server(*, durable: bool) -> Iterator[Server]:
    """Run a server until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="dualcam-pg-", dir="/tmp"))
    folder.chmod(0o700)
    made = Server(folder, durable=durable)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def shared() -> str:
    """Give the URL, without a database name, of the server that all processes of this test run share."""
    return once("postgresql", _start_shared)


def _start_shared() -> str:
    folder = run_folder() / "postgresql"
    folder.mkdir(mode=0o700)
    server = Server(folder, durable=False)
    server.start()
    assert server.process is not None
    keep_until_the_end(server.process.pid)
    return server.url


@contextlib.contextmanager
def running(*, durable: bool) -> Iterator[str]:
    """Run a server until the end of the block; give its URL without a database name."""
    with server(durable=durable) as made:
        yield made.url


def create_database(url: str, name: str) -> str:
    """Make an empty database; give its URL."""
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return f"{url}/{name}"


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
