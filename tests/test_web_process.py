"""The web process as the Procfile starts it: its files, its log, what it bears."""

import io
import json
import re
import socket
import stat
from collections.abc import Iterator
from typing import Any

import gevent
import psutil
import pytest
import requests
from conftest import wait_until
from stack import Stack

from provisioning.web import gunicorn_worker

pytestmark = pytest.mark.xdist_group("web_process")  # what they share is made once


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A web process with a database of its own, which nobody made before."""
    folder = tmp_path_factory.mktemp("web")
    stack = Stack(folder, f"sqlite:///{folder}/var/dualcam.db")
    stack.release()
    stack.start("web")
    yield stack
    stack.stop("web")


def test_files_of_the_service_are_for_its_user_alone(web: Stack) -> None:
    made = [web.folder / "var", *(web.folder / "var").iterdir()]
    assert {path.name for path in made} >= {"var", "dualcam.db"}
    assert [path.name for path in made if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)] == []


def test_every_line_of_the_log_is_one_json_event(web: Stack) -> None:
    requests.get(f"{web.environment['PUBLIC_URL']}/healthz", timeout=10)
    lines = web.log("web").splitlines()
    assert any("Listening at" in json.loads(line)["event"] for line in lines)
    assert all(json.loads(line)["level"] for line in lines)


HEAD = b"POST /login HTTP/1.1\r\nHost: dualcam.test\r\nContent-Type: application/x-www-form-urlencoded\r\n"


def connect(web: Stack, data: bytes) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", web.web_port), timeout=60)
    line.sendall(data)
    return line


def test_connections_that_only_wait_are_closed_for_new_ones(web: Stack) -> None:
    slow = [
        connect(web, HEAD + b"Content-Length: 100000\r\n\r\nhalf")
        for _ in range(gunicorn_worker.MOST_INCOMPLETE + 50)
    ]
    assert requests.get(f"{web.environment['PUBLIC_URL']}/healthz", timeout=30).text == "ok\n"
    assert slow[0].recv(100).startswith(b"HTTP/1.1 503 ")  # the oldest; it hears why
    for line in slow:
        line.close()


def test_a_form_that_comes_in_pieces_reaches_the_app_whole(web: Stack) -> None:
    line = connect(web, HEAD + b"Connection: close\r\nContent-Length: 8\r\n\r\nemai")
    line.sendall(b"l=a&")
    assert line.recv(100).startswith(b"HTTP/1.1 400 ")  # read, and refused for want of a form's token
    line.close()


def test_a_stream_whose_reader_is_gone_is_given_up(web: Stack) -> None:
    web.add_user("reader@example.com", "a long enough password", "viewer")
    session, url = requests.Session(), f"{web.environment['PUBLIC_URL']}/login"
    token = re.findall(r'name="csrf_token"\s+value="([^"]+)"', session.get(url, timeout=30).text)[0]
    who = {"csrf_token": token, "email": "reader@example.com", "password": "a long enough password"}
    session.post(url, data=who, timeout=30)
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    line = connect(web, f"GET /events HTTP/1.1\r\nHost: dualcam.test\r\nCookie: {cookies}\r\n\r\n".encode())
    assert b"text/event-stream" in line.recv(1000)
    port = line.getsockname()[1]
    (worker,) = psutil.Process(web.processes["web"].pid).children()

    def is_held() -> bool:
        return any(one.raddr and one.raddr.port == port for one in worker.net_connections("tcp"))

    assert is_held()
    line.close()
    wait_until(lambda: not is_held())


class Drip:
    """A body that stops after its first bytes."""

    def read(self, size: int) -> bytes:
        gevent.sleep(3600)
        return b""


def test_a_body_that_does_not_come_in_time_is_told_so_and_reaches_no_app() -> None:
    calls: list[str] = []
    app = gunicorn_worker.WholeBody(
        lambda environ, start: [b"reached"], lambda: calls.append("whole"), seconds=0.05
    )
    (body,) = app({"wsgi.input": Drip()}, lambda status, headers: calls.append(status))
    assert calls == ["408 Request Timeout"]
    assert json.loads(body)["code"] == "too_slow"


def test_a_body_beyond_the_limit_is_not_read_to_its_end() -> None:
    source = io.BytesIO(bytes(3 * gunicorn_worker.BODY_MAX))
    found = gunicorn_worker._read(source)
    assert found.tell() == source.tell() == gunicorn_worker.BODY_MAX + 1


def test_a_body_that_is_cut_off_reaches_no_app() -> None:
    calls: list[str] = []
    app = gunicorn_worker.WholeBody(lambda environ, start: [b"reached"], lambda: calls.append("whole"))
    environ = {"wsgi.input": io.BytesIO(b"duration=3"), "CONTENT_LENGTH": "11"}
    (body,) = app(environ, lambda status, headers: calls.append(status))
    assert calls == ["400 Bad Request"]
    assert json.loads(body)["code"] == "cut_off"
    environ["CONTENT_LENGTH"] = "10"
    assert list(app(environ | {"wsgi.input": io.BytesIO(b"duration=3")}, lambda *calls: None)) == [b"reached"]


def test_many_requests_at_once_begin_in_the_order_in_which_they_came() -> None:
    paths = [f"/{number}" for number in range(100)]
    assert begun_by(paths) == paths


def test_the_probe_of_a_balancer_waits_for_no_turn_of_the_requests_before_it() -> None:
    assert begun_by(["/login"] * 100 + ["/healthz"]).index("/healthz") <= 2


def begun_by(paths: list[str]) -> list[str]:
    """Send requests at once; give their paths in the order in which the app began with them."""
    begun: list[str] = []

    def page(environ: dict[str, Any], start: Any) -> list[bytes]:
        begun.append(environ["PATH_INFO"])
        return []

    app = gunicorn_worker.WholeBody(page, lambda: None)
    gevent.joinall([gevent.spawn(app, asking(path), lambda *calls: None) for path in paths])
    return begun


def asking(path: str) -> dict[str, Any]:
    """Give the environment of a request without a body."""
    return {"wsgi.input": io.BytesIO(), "PATH_INFO": path}


def test_many_slow_bodies_take_little_memory(web: Stack) -> None:
    (worker,) = psutil.Process(web.processes["web"].pid).children()
    before = worker.memory_info().rss
    head = HEAD + b"Content-Length: %d\r\n\r\n" % gunicorn_worker.BODY_MAX
    slow = [connect(web, head + bytes(gunicorn_worker.BODY_MAX - 1)) for _ in range(100)]
    assert requests.get(f"{web.environment['PUBLIC_URL']}/healthz", timeout=30).text == "ok\n"
    assert worker.memory_info().rss - before < 50 * 2**20
    for line in slow:
        line.close()


def test_a_large_body_reaches_the_app_whole(web: Stack) -> None:
    body = b'{"parameters": {}, "padding": "' + b"x" * 500_000 + b'"}'
    answer = web.api(
        "POST", "/parameters/plan", None, status=422, data=body, headers={"Content-Type": "application/json"}
    )
    assert answer["errors"] == {"padding": ["There is no such field."]}
