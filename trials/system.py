"""The product's processes for a trial, on a database that can be taken away: SQLite, or a PostgreSQL of its own."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

import databases
import postgres_server
import psutil
from stack import Stack

from trials.evidence import BrokenPromise, Database, Figures

SHARE = re.compile(r"^(\w+): +(\d+) kB$", re.MULTILINE)
HELPER = "provisioning.media.decoder_process"  # makes thumbnails and copies: one a video, one for a thousand photos


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks. 0: the trial's own number."""

    seed: int = 1
    rounds: int = 0
    minutes: float = 0.0
    database: str = "postgresql"
    gateway: str = "twilio"


class System:
    """Processes, database and folders of one trial."""

    def __init__(self, stack: Stack, server: postgres_server.Server | None) -> None:
        self.stack, self.server = stack, server
        self.database = Database(stack.environment["DATABASE_URL"])
        self.media, self.spool = stack.folder / "media", stack.folder / "spool"

    def send(self, name: str, number: Signals) -> None:
        """Send a signal to a process that the stack started."""
        os.kill(self.stack.processes[name].pid, number)

    def workers(self, name: str) -> list[int]:
        """Give the process ids of a supervisor's workers; none while it starts."""
        return [child.pid for child in psutil.Process(self.stack.processes[name].pid).children()]

    def launch(self, name: str) -> None:
        """Start a process without waiting until it answers."""
        stack = self.stack
        with (stack.folder / f"{name}.log").open("ab") as log:
            stack.processes[name] = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {stack.commands[name]}"], cwd=Path(__file__).parent.parent,
                env=stack.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def kill_database(self) -> None:
        """End PostgreSQL and all it started, as a power cut would."""
        assert self.server is not None
        assert self.server.process is not None
        children = psutil.Process(self.server.process.pid).children(recursive=True)
        self.server.stop(kill=True)
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(children, timeout=10)

    def signal_database(self, number: Signals) -> None:
        """Send a signal to PostgreSQL and all it started: the children first."""
        assert self.server is not None
        assert self.server.process is not None
        parent = psutil.Process(self.server.process.pid)
        for process in [*parent.children(recursive=True), parent]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def sessions_by_end(self) -> Figures:
        """Count the rows of TCP sessions by how they ended."""
        ended = "SELECT coalesce(code, 'open'), count(*) FROM sessions GROUP BY 1 ORDER BY 1"
        return dict(self.database.rows(ended))

    def tracebacks(self, name: str) -> int:
        """Count mistakes of ours in a process's log: sessions and work that failed for no known reason."""
        lines = self.stack.log(name).splitlines()
        failed = [line for line in lines if "session failed" in line or "work failed" in line]
        return sum("DeadlockDetected" not in line for line in failed)

    def deadlocks(self, name: str) -> int:
        """Count units of work that PostgreSQL chose to end for another; they are done again by the sweep."""
        return sum("DeadlockDetected" in line for line in self.stack.log(name).splitlines())

    def usage(self, name: str) -> Figures:
        """Give memory and open descriptors of a process with its workers."""
        return usage(self.stack.processes[name].pid)


@contextlib.contextmanager
def system(options: Options, *names: str, **settings: str) -> Iterator[System]:
    """Run the named processes until the end of the block; migrated database, empty folders."""
    with contextlib.ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="dualcam-trial-")))
        server, url = None, f"sqlite:///{folder}/trial.db"
        if options.database == "postgresql":
            server = closing.enter_context(postgres_server.server(durable=True))
            url = postgres_server.create_database(server.url, "trial")
        settings = {"SMS_GATEWAY": options.gateway} | settings
        stack = Stack(folder, url, **{"SMS_GATEWAY": options.gateway} | settings)
        closing.callback(stack.close)
        if server:
            databases.migrate(url)
        stack.prepare()
        stack.start(*names)
        try:
            yield System(stack, server)
        except BrokenPromise as error:
            kept = Path(tempfile.mkdtemp(prefix="dualcam-broken-"))
            for log in folder.glob("*.log"):
                shutil.copy(log, kept)
            raise BrokenPromise(f"{error} (logs: {kept})") from None


def pause(seconds: float) -> None:
    """Let time pass."""
    time.sleep(max(0.0, seconds))


def usage(pid: int) -> Figures:
    """Give memory and open descriptors of a process with its workers.

    Memory that no file backs, where a leak would lie; a page that several of them hold counts once (`pss`): until it
    runs its own program a helper holds all of its parent's pages, and what each has for itself (uss) falls to next
    to nothing. Helpers come and go for each file and cannot leak; once they run their own program they are left out.
    """
    parent = psutil.Process(pid)
    pss = rss = files = 0
    for process in [parent, *parent.children(recursive=True)]:
        with contextlib.suppress(psutil.Error, OSError):  # it has ended
            if HELPER in process.cmdline():
                continue
            shares = dict(SHARE.findall(Path(f"/proc/{process.pid}/smaps_rollup").read_text()))
            pss, rss = pss + 1024 * int(shares["Pss_Anon"]), rss + 1024 * int(shares["Rss"])
            files += process.num_fds()
    return {"pss": pss, "rss": rss, "descriptors": files}
