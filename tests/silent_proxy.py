"""A TCP proxy that goes silent on request, as a phone network does: connections stay open, and nothing passes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from loopback_proxy import LoopbackProxy

PIECE = 64 * 1024


class SilentProxy(LoopbackProxy):
    """Listens on loopback and passes everything to `target` and back, unless `is_silent`.

    What comes while it is silent is lost. A connection that lost something passes nothing later either.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.is_silent = False
        self.lost = 0  # bytes
        self.listen()

    def serve(self, client: socket.socket) -> None:
        with (
            closing(client),
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.target)) as server,
        ):
            back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
            back.start()
            self._pass(client, server)
            back.join()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        has_lost = False
        with suppress(OSError):
            while data := source.recv(PIECE):
                has_lost = has_lost or self.is_silent
                if has_lost:
                    self.lost += len(data)
                else:
                    target.sendall(data)
        if not has_lost:
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)


@contextmanager
def before(port: int) -> Iterator[SilentProxy]:
    """Run such a proxy in front of a port of loopback until the end of the block."""
    proxy = SilentProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
