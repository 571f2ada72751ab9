"""Runs the worker processes of the receiver under gunicorn's arbiter: restart, HUP, graceful stop, heartbeat.

gunicorn's worker base classes are no promised API: setup.cfg caps its version, and tests start, reload and kill
real workers. Called by `__main__`.
"""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
import gevent.socket
from gevent import pywsgi
from gunicorn.app.base import BaseApplication
from gunicorn.workers.ggevent import GeventWorker

from receiver.addresses import bind_to, listen, peer
from receiver.net.guess_limits import WAITING
from receiver.net.server import Server

GRACEFUL_SECONDS = 300  # the longest transfer worth waiting for: 20 s of video take about that long
STOP_POLL = 0.2
SETTLE_SECONDS = (
    10.0  # between garbage collections; an ended connection leaves no cycles, so little is missed
)
LOOK_SECONDS = 3600.0  # between looks at everything
# after each system call the hub asks for the interpreter again, and a thread that computes keeps it for so long
SWITCH_SECONDS = 0.0002

WsgiApp = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """Where to listen, and with how many workers."""

    host: str
    port: int
    workers: int
    http_host: str
    http_port: int
    max_connections: int
    worker_timeout: int  # seconds: a hub that does not turn for so long is stuck, and its worker is replaced


class RawWorker(GeventWorker):
    """A gevent worker that hands raw connections to a Server instead of speaking HTTP."""

    def run(self) -> None:
        """Start what runs beside the connections in this process, then accept until stopped."""
        self.server, health = self.wsgi
        sys.setswitchinterval(SWITCH_SECONDS)
        _settle_memory()
        self.server.start()
        # each worker's own object over the one listening socket: whichever is free answers
        listener = gevent.socket.socket(fileno=self.app.http_socket.detach())
        http = pywsgi.WSGIServer(listener, health, log=None, error_log=None)
        http.start()
        gevent.spawn(self._stop_sessions)
        gevent.spawn(self._settle)
        super().run()
        self.server.reporter.flush()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection."""
        try:
            self.server.serve(client, peer(addr))
        finally:
            client.close()

    def _settle(self) -> None:
        looked = time.monotonic()
        while self.alive:
            gevent.sleep(SETTLE_SECONDS)
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                gc.unfreeze()
            _settle_memory()

    def _stop_sessions(self) -> None:
        while self.alive:
            gevent.sleep(STOP_POLL)
        self.server.stop()


def _settle_memory() -> None:
    """Exclude present objects from garbage collection: a pass over ten thousand connections takes 0.1 s."""
    gc.collect()
    gc.freeze()


class Supervisor(BaseApplication):
    """gunicorn's application: settings, and what each worker loads after its fork."""

    def __init__(self, binding: Binding, make: Callable[[], tuple[Server, WsgiApp]]) -> None:
        self.binding, self.make = binding, make
        self.http_socket = listen(binding.http_host, binding.http_port)
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn."""
        settings = {
            "bind": bind_to(self.binding.host, self.binding.port),
            "workers": self.binding.workers,
            "worker_class": RawWorker,
            # beyond the server's own limit, so that it can close the oldest without INIT first; and those that wait
            # for their refusal hold no place of others
            "worker_connections": self.binding.max_connections + 64 + WAITING,
            "backlog": 2048,
            "graceful_timeout": GRACEFUL_SECONDS,
            "timeout": self.binding.worker_timeout,
            "proc_name": "dualcam-receiver",
            "control_socket_disable": True,
            "loglevel": "warning",
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> tuple[Server, WsgiApp]:
        """Make the server and the health pages, once in each worker."""
        return self.make()
