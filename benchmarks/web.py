"""What the web process bears: `python benchmarks/web.py [--database sqlite|postgresql]`.

Starts the web process of the Procfile on a database of its own. How long /healthz takes while nothing else is asked,
while 100 forms are asked for at once, while 100 passwords are guessed at once, and behind 1050 requests that do not
end; how long a page takes while 100 passwords are guessed at once; how much memory the worker takes with 200 bodies
that do not end. Prints JSON: milliseconds, how the requests were answered, MiB.
"""

import argparse
import contextlib
import json
import re
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import postgres_server  # noqa: E402
import psutil  # noqa: E402
from stack import Stack  # noqa: E402

from provisioning.web.gunicorn_worker import BODY_MAX, MOST_INCOMPLETE  # noqa: E402

GUESSES = 100
LINES = 1050
EMAIL, PASSWORD = "owner@example.com", "seven tall lanterns wait"
FORM = b"GET /login HTTP/1.1\r\nHost: dualcam.test\r\nConnection: close\r\n\r\n"
IDLE_SECONDS = 3.0
MEBI = 2**20


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    with web(parser.parse_args().database) as stack:
        until = time.monotonic() + IDLE_SECONDS
        found: dict[str, Any] = {"idle": latency(stack, lambda: time.monotonic() > until)}
        found["forms"] = at_once(stack, [("127.0.0.1", FORM)] * GUESSES)
        found["guesses, one e-mail"] = guess(stack, lambda number: (EMAIL, "127.0.0.1"))
        found["guesses, many e-mails and addresses"] = guess(
            stack, lambda number: (f"user{number}@example.com", f"127.0.1.{number + 1}")
        )
        found["guesses, while a page is asked for"] = guess(
            stack, lambda number: (f"other{number}@example.com", f"127.0.2.{number + 1}"), watched="/login"
        )
        found["waiting lines"] = waiting_lines(stack)
        found["slow bodies"] = slow_bodies(stack)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


@contextlib.contextmanager
def web(database: str) -> Iterator[Stack]:
    """Run the web process."""
    with contextlib.ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="dualcam-web-")))
        url = f"sqlite:///{folder}/web.db"
        if database == "postgresql":
            url = postgres_server.create_database(
                closing.enter_context(postgres_server.running(durable=True)), "web"
            )
        stack = Stack(folder, url)
        closing.callback(stack.close)
        stack.release()
        stack.add_user(EMAIL, PASSWORD, "viewer")
        stack.start("web")
        yield stack


def latency(stack: Stack, is_over: Callable[[], bool], path: str = "/healthz") -> dict[str, float]:
    """Ask for this path again and again until something is over; give the milliseconds.

    `processor`: the most processor time of the worker from a request to its answer, which a busy machine changes less.
    """
    (worker,) = psutil.Process(stack.processes["web"].pid).children()
    clock = ~worker.pid << 3 | 2  # Linux keeps a clock for each process, which has this number
    times, used = [], []
    while not is_over():
        began, used_before = time.perf_counter(), time.clock_gettime(clock)
        connection = HTTPConnection("127.0.0.1", stack.web_port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200, (path, answer.status)
        answer.read()
        connection.close()
        times.append(1000 * (time.perf_counter() - began))
        used.append(1000 * (time.clock_gettime(clock) - used_before))
        time.sleep(0.005)
    most = {"most": round(max(times), 1), "processor": round(max(used), 1)}
    return {"asked": len(times), "median": round(statistics.median(times), 1)} | most


def guess(stack: Stack, who: Callable[[int], tuple[str, str]], watched: str = "/healthz") -> dict[str, Any]:
    """Guess passwords at once. `who`: the e-mail and the client's address of a guess; `watched`: what is timed."""
    cookie, token = form(stack)
    requests = []
    for email, address in map(who, range(GUESSES)):
        body = urlencode({"csrf_token": token, "email": email, "password": "a wrong password"})
        requests.append((address, _post(f"Cookie: {cookie}\r\n", len(body)) + body.encode()))
    return at_once(stack, requests, watched)


def at_once(stack: Stack, requests: list[tuple[str, bytes]], watched: str = "/healthz") -> dict[str, Any]:
    """Send requests at once, each from an address on a line of its own; give the latency until all are answered."""
    open_lines, answers, lines = selectors.DefaultSelector(), Counter[str](), []
    for address, request in requests:
        line = socket.create_connection(
            ("127.0.0.1", stack.web_port), timeout=60, source_address=(address, 0)
        )
        lines.append((line, request))
        open_lines.register(line, selectors.EVENT_READ)
    began = time.perf_counter()
    for line, request in lines:
        line.sendall(request)

    def are_answered() -> bool:
        for key, _ in open_lines.select(0):
            line = key.fileobj
            assert isinstance(line, socket.socket)
            answers[line.recv(100).split()[1].decode()] += 1
            open_lines.unregister(line)
            line.close()
        return not open_lines.get_map()

    found = latency(stack, are_answered, watched)
    return {"answers": dict(answers), "seconds": round(time.perf_counter() - began, 1), watched: found}


def form(stack: Stack) -> tuple[str, str]:
    """Give the cookie and the token of the form for signing in."""
    connection = HTTPConnection("127.0.0.1", stack.web_port, timeout=60)
    connection.request("GET", "/login")
    answer = connection.getresponse()
    page = answer.read().decode()
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return (answer.getheader("Set-Cookie") or "").split(";")[0], found[1]


def _post(header: str, length: int) -> bytes:
    return (
        f"POST /login HTTP/1.1\r\nHost: dualcam.test\r\nConnection: close\r\n{header}"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def waiting_lines(stack: Stack) -> dict[str, Any]:
    """Begin more requests than may wait, each with a head and some of its body; give the latency behind them."""
    lines = [socket.create_connection(("127.0.0.1", stack.web_port), timeout=60) for _ in range(LINES)]
    for line in lines:
        line.sendall(_post("", 100_000) + b"begun")
    once = iter((False, True))
    found = latency(stack, lambda: next(once))
    for line in lines:
        line.close()
    return {"connections": len(lines), "/healthz": found}


def slow_bodies(stack: Stack) -> dict[str, float]:
    """Send as many bodies as may wait, each but its last byte; give the worker's memory in MiB, before and at most."""
    (worker,) = psutil.Process(stack.processes["web"].pid).children()
    before, lines, most = worker.memory_info().rss, [], 0
    for _ in range(MOST_INCOMPLETE):
        line = socket.create_connection(("127.0.0.1", stack.web_port), timeout=60)
        line.sendall(_post("", BODY_MAX) + bytes(BODY_MAX - 1))
        lines.append(line)
        most = max(most, worker.memory_info().rss)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        most = max(most, worker.memory_info().rss)
        time.sleep(0.05)
    for line in lines:
        line.close()
    return {"connections": len(lines), "before": round(before / MEBI), "most": round(most / MEBI)}


if __name__ == "__main__":
    sys.exit(main())
