"""Claims of files across real processes: one holder at a time, and a dead one holds nothing."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, wait_until

from receiver.spool.file_locks import FileLocks

IMEI = "352094082736916"
OTHER = "356307042441013"

# takes commands by line, answers by line
CHILD = """
import os, sys
from pathlib import Path
from receiver.spool.file_locks import FileLocks
claims = FileLocks(Path(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    verb, *given = line.split()
    if verb == "asked":
        claims.socket.settimeout(10)
        print(*claims.asked(), flush=True)
    elif verb == "race":
        won = 0
        for number in range(200):
            imei = f"{352094082736000 + number}"
            won += claims.take(imei, "%videof")
        print(won, flush=True)
    else:
        print(getattr(claims, verb)(*given), flush=True)
"""


class Process:
    """A receiver's process as far as its claims go."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=ROOT,
        )  # fmt: skip
        assert self.answer() == "ready"

    def tell(self, *words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        assert ready, "no answer"
        return self.process.stdout.readline().strip()

    def do(self, *words: str) -> str:
        self.tell(*words)
        return self.answer()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


Start = Callable[[], Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []

    def make() -> Process:
        started.append(Process(tmp_path / "claims"))
        return started[-1]

    yield make
    for child in started:
        child.kill()


def test_one_process_at_a_time_has_a_file_of_a_device(start: Start) -> None:
    one, other = start(), start()
    assert one.do("take", IMEI, "%videof") == "True"
    assert other.do("take", IMEI, "%videof") == "False"
    assert other.do("take", IMEI, "%photof") == "True"
    assert other.do("take", OTHER, "%videof") == "True"
    one.do("release", IMEI, "%videof")
    assert other.do("take", IMEI, "%videof") == "True"


def test_files_offered_by_path_are_one_claim_of_a_device(start: Start) -> None:
    one, other = start(), start()
    assert one.do("take", IMEI, "dashcam/1.mp4") == "True"
    assert other.do("take", IMEI, "dashcam/2.mp4") == "False"


def test_a_killed_process_holds_nothing(start: Start) -> None:
    one, other = start(), start()
    assert one.do("take", IMEI, "%videof") == "True"
    one.kill()
    assert other.do("take", IMEI, "%videof") == "True"


def test_a_holder_is_asked_to_give_way_and_told_for_what(start: Start) -> None:
    one, other = start(), start()
    one.do("take", IMEI, "%videof")
    one.tell("asked")
    other.do("ask", IMEI, "%videof")
    assert one.answer() == f"{IMEI} %videof"


def test_asking_a_process_that_was_killed_or_for_what_is_free_is_harmless(start: Start) -> None:
    one, other = start(), start()
    assert other.do("ask", IMEI, "%videof") == "None"
    one.do("take", IMEI, "%videof")
    one.kill()
    assert other.do("ask", IMEI, "%videof") == "None"


def test_a_new_process_clears_the_sockets_of_dead_ones(start: Start, tmp_path: Path) -> None:
    one = start()
    one.kill()
    stale = tmp_path / "claims" / f"{one.process.pid}.sock"
    assert stale.exists()
    start()
    assert not stale.exists()


def test_a_process_that_was_forked_does_not_have_its_parents_claims(tmp_path: Path) -> None:
    claims = FileLocks(tmp_path / "claims")
    assert claims.take(IMEI, "%videof")
    child = os.fork()
    if not child:
        # gunicorn makes its workers so: each makes its own claims after the fork
        try:
            os._exit(0 if not FileLocks(tmp_path / "claims").take(IMEI, "%videof") else 1)
        finally:
            os._exit(2)
    deadline = time.monotonic() + 30
    while not (done := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(done[1]) == 0
    claims.socket.close()


def test_of_many_processes_that_want_the_same_files_each_file_has_one(start: Start) -> None:
    rivals = [start() for _ in range(8)]
    for process in rivals:
        process.tell("race")
    won = [int(process.answer()) for process in rivals]
    assert sum(won) == 200
    for process in rivals[:-1]:
        process.kill()
    last = rivals[-1]
    wait_until(lambda: last.do("race") == "200")  # a lock taken again by its holder is taken
