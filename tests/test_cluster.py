"""Two receivers, two web processes, a worker, one PostgreSQL, one S3 server, behind a load balancer: real processes.

Devices are cut off at random and come back to whichever receiver the balancer names; one receiver is killed for good.
Of each ten devices some tell no time or no trigger of their files.
"""

import contextlib
import hashlib
import random
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import databases
import pytest
import requests
import s3_proxy
import s3_server
from camera_model import BITS, CameraModel, LineDropped
from conftest import free_port, wait_until
from stack import Stack
from stdnum import luhn

import trials  # noqa: F401 - puts what trials need on the path
from simulator.metadata import metadata_answer_of
from trials.evidence import Sent, Tally, bounds

DEVICES = 12
STAMP = 1_795_500_000_000  # milliseconds
QUIET = {"TWILIO_ACCOUNT_SID": "", "TWILIO_AUTH_TOKEN": "", "TWILIO_FROM": "", "TWILIO_API_BASE_URL": ""}
BALANCER = """
global
    maxconn 2000
defaults
    mode tcp
    timeout connect 3s
    timeout client 2m
    timeout server 2m
    retries 3
    option redispatch 1
listen cameras
    bind 127.0.0.1:{port}
    balance roundrobin
    option httpchk GET /healthz
    default-server inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions
    server one 127.0.0.1:{one.receiver_port} send-proxy check port {one.health_port}
    server two 127.0.0.1:{two.receiver_port} send-proxy-v2 check port {two.health_port}
"""


@dataclass
class Cluster:
    """All that runs."""

    one: Stack
    two: Stack
    port: int
    bucket: str
    s3: s3_server.Server

    def keys(self, prefix: str) -> list[str]:
        pages = self.s3.client().get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"fleet/{prefix}"
        )  # fmt: skip
        return [item["Key"].removeprefix("fleet/") for page in pages for item in page.get("Contents", [])]

    def all(self, path: str) -> list[dict[str, Any]]:
        """Read a list of the API to its end, from the second web process."""
        items, cursor = [], ""
        while True:
            page = self.two.api("GET", f"{path}{'&' if '?' in path else '?'}limit=100{cursor}", status=200)
            items += page["items"]
            if page["next"] is None:
                return items
            cursor = f"&cursor={page['next']}"


@pytest.fixture
def cluster(tmp_path: Path, s3: s3_server.Server, bucket: str) -> Iterator[Cluster]:
    port = free_port()
    balancer: subprocess.Popen[bytes] | None = None
    with databases.postgres() as url, contextlib.ExitStack() as after:
        shared = QUIET | s3.environment() | {
            "MEDIA_URL": f"s3://{bucket}/fleet", "RECEIVER_PROXIES": "127.0.0.1",
            "API_REQUESTS_PER_MINUTE": "100000", "RECEIVER_METADATA_TIMEOUT": "1",
        }  # fmt: skip
        stacks = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            stacks.append(Stack(tmp_path / name, url, **shared))
            after.callback(stacks[-1].close)
        one, two = stacks
        one.prepare()
        two.token = one.token
        one.start("web", "receiver", "worker")
        two.start("web", "receiver")
        (tmp_path / "haproxy.cfg").write_text(BALANCER.format(port=port, one=one, two=two))
        binary = shutil.which("haproxy") or "/usr/sbin/haproxy"
        with (tmp_path / "haproxy.log").open("wb") as log:
            balancer = subprocess.Popen([binary, "-f", tmp_path / "haproxy.cfg"], stdout=log, stderr=log)
        after.callback(balancer.wait, 10)
        after.callback(balancer.kill)
        wait_until(lambda: _is_open(port))
        yield Cluster(one, two, port, bucket, s3)


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return False
    return True


@dataclass
class Vehicle:
    """A camera that comes back until everything is acknowledged."""

    number: int
    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    turns: int = 0
    tally: Tally = field(default_factory=Tally)
    problem: str | None = None

    def __post_init__(self) -> None:
        self.random = random.Random(self.number)
        body = f"35209408{self.number:06d}"
        self.imei = body + luhn.calc_check_digit(body)
        self.address = f"127.0.1.{self.number + 1}"
        self.files = {name: self.random.randbytes(self.random.randrange(20_000, 60_000)) for name in BITS}

    def run(self, until: float) -> None:
        left = dict(self.files)
        stamps = {name: STAMP + self.number * 1000 + place for place, name in enumerate(BITS)}
        while left and time.monotonic() < until:
            self.turns += 1
            camera = CameraModel(
                imei=self.imei, files=dict(left), timestamps=stamps, address=self.address,
                metadata_version=self.random.choice([1, 2, 3, 4]), metadata_answer=metadata_answer_of(self.number),
                restart_crc=self.random.random() < 0.7,
                drop_at=self.random.randrange(1, 40) if self.random.random() < 0.8 else None,
            )  # fmt: skip
            try:
                camera.run(self.port, timeout=40)
            except (LineDropped, OSError):
                pass
            for name in camera.acknowledged:
                self.tally.acknowledged.append(self._sent(camera, name))
                del left[name]
            if camera.unheard:
                self.tally.unheard.append(self._sent(camera, camera.unheard))
            time.sleep(self.random.random() * 0.2)
        self.problem = f"{self.imei}: {sorted(left)} left after {self.turns} turns" if left else None

    def _sent(self, camera: CameraModel, name: str) -> Sent:
        return Sent(
            self.imei, "", camera.given_stamps.get(name, 0), hashlib.sha256(self.files[name]).hexdigest()
        )


def _stored(upload: dict[str, Any]) -> Sent:
    moment = upload["timestamp"] and datetime.fromisoformat(upload["timestamp"])
    return Sent(upload["imei"], "", round(moment.timestamp() * 1000) if moment else 0, upload["sha256"])


@pytest.mark.trial
def test_every_file_is_stored_once_whatever_receiver_a_device_comes_back_to(cluster: Cluster) -> None:
    vehicles = [Vehicle(number, cluster.port) for number in range(DEVICES)]
    for vehicle in vehicles:
        given = {"imei": vehicle.imei, "phone": f"+1202555{vehicle.number:04d}"}
        cluster.one.api("POST", "/devices", given, status=201)
    until = time.monotonic() + 240
    threads = [threading.Thread(target=v.run, args=(until,), daemon=True) for v in vehicles]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(cluster.all("/uploads?state=stored")) >= DEVICES, 120, every=0.5)
    cluster.two.kill("receiver")  # for good, with all that it had in hand
    for thread in threads:
        thread.join(250)
    assert [v.problem for v in vehicles if v.problem] == []
    assert sum(v.turns for v in vehicles) > 2 * DEVICES

    # each file with a time once, each without at least once and never more often than it was sent whole
    least, most = bounds(sum((v.tally for v in vehicles), Tally()))
    assert least.total() == 4 * DEVICES
    wait_until(lambda: not least - Counter(map(_stored, cluster.all("/uploads?state=stored"))), 150, every=1)
    wait_until(lambda: not _unreported(cluster, _originals(cluster)), 100)
    stored = cluster.all("/uploads?state=stored")
    assert not Counter(map(_stored, stored)) - most
    assert len(_originals(cluster)) == len(stored)

    contents = {data for v in vehicles for data in v.files.values()}
    for number, upload in enumerate(stored):
        web = (cluster.one, cluster.two)[number % 2]
        assert web.api("GET", f"/uploads/{upload['id']}/content", status=200) in contents

    sessions = cluster.all("/sessions")
    by_imei = {v.imei: v.address for v in vehicles}
    own = [s for s in sessions if s["imei"] in by_imei]
    assert len(own) > 2 * DEVICES
    assert all(s["address"].startswith(by_imei[s["imei"]] + ":") for s in own)
    assert [s for s in sessions if s["imei"] is None] == []  # the balancer's looks leave no row


def _originals(cluster: Cluster) -> list[str]:
    return [key for key in cluster.keys("") if not key.startswith(("partial/", "pending/", "derived/"))]


def _unreported(cluster: Cluster, originals: list[str]) -> list[str]:
    """Give the files in the store that wait to be reported; what was killed before it put its file reports nothing."""
    uploads = [key.rpartition("/")[2].removesuffix(".json") for key in cluster.keys("pending/")]
    return [upload for upload in uploads if any(upload in key for key in originals)]


def _say(port: int, data: bytes, address: str) -> bytes:
    """Say something to a receiver's own port, past the balancer."""
    with socket.create_connection(("127.0.0.1", port), 20, (address, 0)) as line:
        with contextlib.suppress(OSError):  # it may have been closed before we have done
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
            return line.recv(100)
        return b""


@pytest.mark.long
def test_only_a_named_balancer_is_believed_about_addresses(tmp_path: Path) -> None:
    settings = QUIET | {"RECEIVER_PROXIES": "127.0.0.1"}
    stack = Stack(tmp_path, f"sqlite:///{tmp_path}/test.db", **settings)
    header = b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 7160\r\n"
    init = b"\0\0\0\x05" + int("352094082736916").to_bytes(8, "big") + bytes([0x40, 0, 4, 0])
    try:
        stack.prepare()
        stack.start("web", "receiver")
        stack.api("POST", "/devices", {"imei": "352094082736916", "phone": "+12025550111"}, status=201)
        assert _say(stack.receiver_port, header + init, "127.0.0.1") == b"\0\0\0\0"
        assert _say(stack.receiver_port, header + init, "127.0.5.5") == b""  # a liar: that is no camera
        assert _say(stack.receiver_port, init, "127.0.5.6") == b"\0\0\0\0"  # a camera that came directly
        assert _say(stack.receiver_port, init, "127.0.0.1") == b""  # a balancer must name the device
        assert _say(stack.receiver_port, b"PROXY UNKNOWN\r\n", "127.0.0.1") == b""  # it looks whether we live
        found = wait_until(lambda: _sessions(stack, 4))
        given_stamps = sorted((s["address"].rpartition(":")[0], s["imei"], s["code"]) for s in found)
        assert given_stamps == [
            ("127.0.0.1", None, "proxy"),
            ("127.0.5.5", None, "not_a_camera"),
            ("127.0.5.6", "352094082736916", "done"),
            ("203.0.113.9", "352094082736916", "done"),
        ]
    finally:
        stack.close()


def _sessions(stack: Stack, count: int) -> list[dict[str, Any]] | None:
    found = stack.api("GET", "/sessions", status=200)["items"]
    return found if len([s for s in found if s["ended_at"]]) >= count else None


@pytest.mark.trial
def test_while_the_store_hangs_other_devices_are_answered(
    tmp_path: Path, s3: s3_server.Server, bucket: str
) -> None:
    with s3_proxy.between(s3.ports["s3"]) as proxy:
        settings = QUIET | s3_server.environment(proxy.url) | {"MEDIA_URL": f"s3://{bucket}/fleet"}
        stack = Stack(tmp_path, f"sqlite:///{tmp_path}/test.db", **settings)
        try:
            stack.prepare()
            stack.start("web", "receiver")
            stack.api("POST", "/devices", {"imei": "352094082736916", "phone": "+12025550111"}, status=201)
            proxy.silent = True
            waiting = CameraModel(files={"%photof": b"picture" * 1000})
            thread = threading.Thread(target=waiting.run, args=(stack.receiver_port, 200), daemon=True)
            thread.start()
            wait_until(lambda: b"\0\x08" in waiting.received)
            for _ in range(5):
                CameraModel().run(stack.receiver_port)  # has nothing, and hears so
                alive = requests.get(f"http://127.0.0.1:{stack.health_port}/healthz", timeout=10)
                assert alive.ok
            assert thread.is_alive(), "the first device waits for the store"
            thread.join(200)
            assert not thread.is_alive()
            assert waiting.acknowledged == []
            proxy.silent = False
            CameraModel(files=waiting.files).run(stack.receiver_port, 60)
            assert waiting.files == {}
        finally:
            stack.close()
