"""The receiver without disk and database: sockets, protocol, session, CRC; what is written is forgotten.

`python benchmarks/nodisk.py PORT`. The benchmark's switch for "processor time without disk".
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from datetime import datetime  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from gevent.server import StreamServer  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent))

from provisioning.models import utcnow  # noqa: E402
from receiver.backend.port import Admission  # noqa: E402
from receiver.net.server import Server  # noqa: E402
from receiver.net.settings import Settings  # noqa: E402
from receiver.spool.group_commit import GroupCommit  # noqa: E402
from receiver.spool.spool import Caps, Spool  # noqa: E402
from receiver.spool.upload_context import UploadContext  # noqa: E402
from receiver.store.durability import StorageError  # noqa: E402
from receiver.store.local_folder import LocalFolder  # noqa: E402
from receiver.store.media_store import Media  # noqa: E402
from receiver.wire.actions import Offer  # noqa: E402
from receiver.wire.session_limits import SessionLimits  # noqa: E402


class Nowhere:
    """A transfer that takes everything and keeps nothing."""

    def __init__(self, asker: UploadContext, offer: Offer) -> None:
        self.received = self.chain = 0
        self.record = {
            "imei": asker.imei, "identifier": offer.identifier, "by_path": offer.by_path, "upload": "0" * 32
        }  # fmt: skip

    def write(self, offset: int, payload: bytes, now: datetime, chain: int | None) -> bool:
        self.received += len(payload)
        return True

    def wants_safety(self, now: datetime) -> bool:
        return False

    def flush(self) -> None: ...
    def leave(self) -> None: ...

    def committed(self) -> None: ...
    def left_behind(self) -> None: ...


class NoCommit(GroupCommit):
    """A way to the disk that writes nothing and finds everything safe."""

    def commit(self, transfers: Sequence[Any], now: datetime) -> list[StorageError | None]:
        return [None] * len(transfers)

    make_safe = commit


class NoStore(Spool):
    """A spool that keeps no file."""

    def __init__(self, spool: Path, media: Media, caps: Caps) -> None:
        super().__init__(spool, media, caps)
        self.group_commit = NoCommit(spool, self.disk, media, self.shared_partials)

    def open(self, asker: UploadContext, offer: Offer, stored_before: Any = None) -> Any:
        return Nowhere(asker, offer)


class NoProduct:
    def admit(self, imei: str) -> Admission:
        return Admission.KNOWN

    def sent_today(self, imei: str) -> tuple[int, int]:
        return 0, 0

    def __getattr__(self, name: str) -> Any:
        return lambda *given: set() if name == "watched" else None


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="nodisk-"))
    store = NoStore(folder / "spool", LocalFolder(folder / "media"), Caps())
    server = Server(
        Settings(SessionLimits(metadata=0.1), max_connections=100_000), store, NoProduct(), utcnow
    )  # type: ignore[arg-type]
    StreamServer(
        ("127.0.0.1", int(sys.argv[1])), lambda s, a: server.serve(s, f"{a[0]}:{a[1]}"), backlog=4096
    ).serve_forever()


main()
