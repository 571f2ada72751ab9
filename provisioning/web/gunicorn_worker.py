"""The gevent worker of gunicorn: a deadline for each wait on a request (head, body, idle connection), and turns.

A proxy that buffers requests sets the same deadlines in front of it; these are for installations without one.
gunicorn.conf.py names it.
"""

import io
import socket
import tempfile
from collections.abc import Callable, Iterable
from typing import IO, Any

import gevent
from gevent.event import Event
from gunicorn.workers.ggevent import GeventWorker

MOST_INCOMPLETE = 200  # connections in one worker whose request has not come whole; idle ones count too
BODY_SECONDS = 30.0  # for a whole body; gunicorn's keepalive bounds the wait for a head
BODY_MAX = 1024 * 1024  # bytes; the app refuses more (MAX_CONTENT_LENGTH)
# bytes; nearly all bodies are smaller, and 200 larger ones are not to fill the memory
BODY_IN_MEMORY = 32 * 1024
PIECE = 16 * 1024
NO_TURN = frozenset({"/healthz"})  # paths that are answered at once, however many requests wait
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_SLOW = b'{"code": "too_slow", "message": "The request did not come whole in time; send it again.", "errors": {}}\n'
CUT_OFF = b'{"code": "cut_off", "message": "The request ended before it was whole.", "errors": {}}\n'

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Incomplete:
    """Connections whose request has not come whole: beyond a number the oldest is closed for a new one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[Any, socket.socket] = {}

    def add(self, client: socket.socket) -> None:
        """Count the connection of this greenlet, and close the oldest if that is one too many."""
        self._waiting[gevent.getcurrent()] = client
        if len(self._waiting) > self._most:
            oldest = self._waiting.pop(next(iter(self._waiting)))
            try:
                oldest.send(BUSY)
                oldest.shutdown(socket.SHUT_RDWR)  # its greenlet reads the end, and closes it
            except OSError:
                pass  # it went by itself

    def leave(self) -> None:
        """Count the connection of this greenlet no more: its request is there, or it has ended."""
        self._waiting.pop(gevent.getcurrent(), None)


class Turns:
    """Lets one request begin in each iteration of the event loop, in the order in which they came whole.

    A page takes some milliseconds of the processor without a pause. When many begin in the same iteration, the loop
    looks at no connection until all of them have ended, and a balancer's probe waits as long.
    """

    def __init__(self) -> None:
        self._last_is_over = Event()  # the turn of the request that came last
        self._last_is_over.set()

    def wait(self) -> None:
        """Return when this request may begin; the next one may when the loop has looked at its connections."""
        before, over = self._last_is_over, Event()
        self._last_is_over = over
        try:
            before.wait()
        finally:
            gevent.spawn_later(0, over.set)


class Worker(GeventWorker):
    """Serves the app; only a request that came whole reaches it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.incomplete = Incomplete(MOST_INCOMPLETE)

    def load_wsgi(self) -> None:
        """Load the app."""
        super().load_wsgi()
        self.wsgi: WsgiApp = WholeBody(self.wsgi, self.incomplete.leave)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection."""
        self.incomplete.add(client)
        try:
            super().handle(listener, client, addr)
        finally:
            self.incomplete.leave()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request; then the connection waits for the next."""
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            self.incomplete.add(sock)


class WholeBody:
    """WSGI middleware: reads the body before the app runs in its turn; ends what does not come in time with 408."""

    def __init__(self, app: WsgiApp, is_whole: Callable[[], None], seconds: float = BODY_SECONDS) -> None:
        self._app, self._is_whole, self._seconds = app, is_whole, seconds
        self._turns = Turns()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request on once it is whole."""
        body = None
        with gevent.Timeout(self._seconds, False):
            body = _read(environ["wsgi.input"])  # ends by itself: gunicorn reads no further than the request
        if body is None:
            return _refuse(start_response, "408 Request Timeout", TOO_SLOW)
        wanted = min(int(environ.get("CONTENT_LENGTH") or 0), BODY_MAX + 1)
        if body.seek(0, io.SEEK_END) < wanted:
            return _refuse(start_response, "400 Bad Request", CUT_OFF)
        body.seek(0)
        environ["wsgi.input"] = body
        self._is_whole()
        if environ.get("PATH_INFO") not in NO_TURN:
            self._turns.wait()
        return self._app(environ, start_response)


def _refuse(start_response: Callable[..., Any], status: str, text: bytes) -> Iterable[bytes]:
    headers = [("Content-Type", "application/json"), ("Connection", "close")]
    start_response(status, [*headers, ("Content-Length", str(len(text)))])
    return [text]


def _read(source: Any) -> IO[bytes]:
    """Give the body, or one byte more than the app takes; in a file without a name where it is large."""
    body = tempfile.SpooledTemporaryFile(BODY_IN_MEMORY)  # noqa: SIM115 - closed when its request is forgotten
    while body.tell() <= BODY_MAX and (piece := source.read(min(PIECE, BODY_MAX + 1 - body.tell()))):
        body.write(piece)
    return body
