"""Who offers a file, and the record with which its sidecar begins."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from receiver.addresses import Network, is_within
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.store.durability import stamp
from receiver.store.keys import describe
from receiver.wire.actions import Offer
from receiver.wire.protocol import PACKET


@dataclass(frozen=True, slots=True)
class UploadContext:
    """Who offers a file: the device, whether it is known, its session, when, and from which address.

    `networks`: from where the bytes of a partial file must have come for this one to go on with it; none: anywhere.
    """

    imei: str
    admission: str  # known | quarantine
    session: str
    now: datetime
    address: str | None = None
    networks: Sequence[Network] = ()

    def goes_on_with(self, record: SidecarRecord) -> bool:
        """Say whether what is held of a file came from where devices may connect from; older sidecars do not say."""
        address = record.get("address")
        return not self.networks or address is None or is_within(address, self.networks)


def record_of(asker: UploadContext, offer: Offer, file: StoredFile, boot: str) -> SidecarRecord:
    """Give the whole record of an offered file, as its sidecar begins; `file` says its id, its place and its size."""
    kind, source, extension = describe(offer)
    return {
        "imei": asker.imei, "upload": file.upload, "session": asker.session, "admission": asker.admission,
        "identifier": offer.identifier, "by_path": offer.by_path, "count": offer.count,
        "packets": -(-offer.size // PACKET), "file_type": kind, "source": source, "extension": extension,
        "metadata": asdict(offer.metadata) if offer.metadata else None, "received_packets": 0, "size": file.size,
        "sha256": None, "path": file.path, "state": "receiving", "started_at": stamp(asker.now),
        "updated_at": stamp(asker.now), "address": asker.address, "received_at": None, "resumes": 0, "crc_errors": 0,
        "safe": 0, "boot": boot,
    }  # fmt: skip
