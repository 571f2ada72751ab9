"""What open pages cost the web process: `python benchmarks/streams.py [--seconds 120] [--readers 200]`.

Starts the web process of the Procfile on a database of its own, and signs in as many people as hold that many streams.
Each reader connects again as a browser does, with the id of the last event it got. Prints JSON: the processor time of
the worker in percent of one processor, its memory in MiB, and how often readers connected, without and with readers.
"""

import argparse
import json
import re
import selectors
import socket
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import databases  # noqa: E402
import psutil  # noqa: E402
from stack import Stack  # noqa: E402
from web import web  # noqa: E402

from provisioning.core.change_feed import RETRY_MS, STREAMS_PER_USER  # noqa: E402
from provisioning.models import Role  # noqa: E402
from provisioning.web import users  # noqa: E402

PASSWORD = "seven tall lanterns wait"
MEBI = 2**20


@dataclass
class Reader:
    """An open page: its cookie, the id of the last event it got, and when it connects again."""

    cookie: str
    last_id: str = ""
    line: socket.socket | None = None
    due_at: float = 0.0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--readers", type=int, default=200)
    given = parser.parse_args()
    with web("sqlite") as stack:
        cookies = [sign_in(stack, number) for number in range(-(-given.readers // STREAMS_PER_USER))]
        found = {"idle": measured(stack, [], 20)}
        readers = [Reader(cookies[number // STREAMS_PER_USER]) for number in range(given.readers)]
        found["readers"] = measured(stack, readers, given.seconds)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


def sign_in(stack: Stack, number: int) -> str:
    """Add a person, sign in, and give the cookie."""
    email = f"reader{number}@example.com"
    databases.within(stack.environment["DATABASE_URL"], lambda: users.create(email, Role.VIEWER, PASSWORD))
    connection = HTTPConnection("127.0.0.1", stack.web_port, timeout=60)
    connection.request("GET", "/login")
    answer = connection.getresponse()
    token = re.search(r'name="csrf_token" value="([^"]+)"', answer.read().decode())
    assert token
    headers = {"Cookie": (answer.getheader("Set-Cookie") or "").split(";")[0],
               "Content-Type": "application/x-www-form-urlencoded"}  # fmt: skip
    fields = {"csrf_token": token[1], "email": email, "password": PASSWORD}
    connection.request("POST", "/login", urlencode(fields), headers)
    answer = connection.getresponse()
    cookie = re.search(r"\bsession=[^;]+", answer.getheader("Set-Cookie") or "")
    assert cookie, answer.status
    return cookie[0]


def measured(stack: Stack, readers: list[Reader], seconds: float) -> dict[str, Any]:
    """Read for so long; give what the worker used meanwhile."""
    (worker,) = psutil.Process(stack.processes["web"].pid).children()
    lines, connected = selectors.DefaultSelector(), 0
    begun, before = time.monotonic(), sum(worker.cpu_times()[:2])
    while time.monotonic() < begun + seconds:
        for reader in readers:
            if reader.line is None and time.monotonic() >= reader.due_at:
                reader.line = connect(stack, reader)
                lines.register(reader.line, selectors.EVENT_READ, reader)
                connected += 1
        for key, _ in lines.select(0.5):
            read(lines, key.data)
    used = sum(worker.cpu_times()[:2]) - before
    for reader in readers:
        if reader.line is not None:
            reader.line.close()
    took = time.monotonic() - begun
    memory = round(worker.memory_info().rss / MEBI)
    return {"processor_percent": round(100 * used / took, 2), "memory": memory, "connected": connected}


def connect(stack: Stack, reader: Reader) -> socket.socket:
    """Open the stream of a reader."""
    line = socket.create_connection(("127.0.0.1", stack.web_port), timeout=60)
    since = f"Last-Event-ID: {reader.last_id}\r\n" if reader.last_id else ""
    line.sendall(
        f"GET /events HTTP/1.1\r\nHost: dualcam.test\r\nCookie: {reader.cookie}\r\n{since}"
        "Accept: text/event-stream\r\nConnection: close\r\n\r\n".encode()
    )
    return line


def read(lines: selectors.BaseSelector, reader: Reader) -> None:
    """Take what a stream brings; where it has ended, connect again after the time that it named."""
    assert reader.line is not None
    data = reader.line.recv(65536)
    if found := re.findall(rb"^id: (\d+)$", data, re.M):
        reader.last_id = found[-1].decode()
    if not data:
        lines.unregister(reader.line)
        reader.line.close()
        reader.line, reader.due_at = None, time.monotonic() + RETRY_MS / 1000


if __name__ == "__main__":
    sys.exit(main())
