"""The listening side of proxies on loopback that tests put between two programs."""

import socket
import threading
from abc import ABC, abstractmethod
from contextlib import suppress


class LoopbackProxy(ABC):
    """Listens on a port of its own from `listen` to `close`, and serves each connection in a thread."""

    port: int

    def listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    @abstractmethod
    def serve(self, client: socket.socket) -> None: ...
