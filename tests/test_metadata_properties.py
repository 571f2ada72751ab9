"""Whatever a camera tells of its files, or leaves out: their sidecars are believed, and each gets its row and bytes."""

import json
import shutil
import struct
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from driver import BEGAN, commit, make_safe
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spool_under_test import IMEI, OTHER, SESSION, SpoolUnderTest
from sqlalchemy import delete, select

from provisioning.media import registration
from provisioning.models import Upload, db, utcnow
from receiver.spool.file_transfer import Transfer
from receiver.spool.sidecar import SidecarRecord
from receiver.spool.sidecar_files import read_sidecar
from receiver.spool.spool import Caps, Spool
from receiver.spool.upload_context import UploadContext
from receiver.store.local_folder import LocalFolder
from receiver.wire import protocol
from receiver.wire.actions import Offer
from receiver.wire.metadata import read_metadata, read_path_metadata
from receiver.wire.protocol import PACKET, Metadata

TIMES = st.sampled_from([0, 1, 1_795_600_000_000, 1_795_600_000_000_000, 2**63, 2**64 - 1])
numbers = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=3))
frames = st.builds(  # versions 1 to 4: each tells more than the one before
    lambda version, time, trigger, rest: struct.pack(">BBQB", version, 4, time, trigger) + rest,
    st.integers(1, 4), TIMES, st.integers(0, 255), st.sampled_from([2, 3, 21, 29]).flatmap(
        lambda size: st.binary(min_size=size, max_size=size)
    ),
)  # fmt: skip
by_path = st.one_of(
    st.binary(max_size=40),  # 15 bytes of ADAS, 26 of DSM, what nobody knows
    st.dictionaries(
        st.sampled_from(["version", "file", "fm_trigger", "gps", "driver_name", "\0"]),
        st.one_of(numbers, st.dictionaries(st.sampled_from(
            ["file_timestamp", "timestamp", "duration", "type", "latitude", "longitude"]), numbers, max_size=4)),
        max_size=4,
    ).map(lambda given_metadata: json.dumps(given_metadata).encode()),
)  # fmt: skip


def a_file(offered: tuple[str, bool], given_metadata: bytes | None, packets: int) -> Offer:
    """Make an offer as the session does, of what the device said."""
    identifier, is_path = offered
    metadata: Metadata | None = None
    if given_metadata is not None:
        metadata = read_path_metadata(given_metadata) if is_path else read_metadata(given_metadata)
    return Offer(identifier, is_path, packets * (PACKET if is_path else 1), metadata)


names = st.one_of(
    st.sampled_from(["%photof", "%photor", "%videof", "%videor"]).map(lambda name: (name, False)),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
    .filter(lambda path: not path.startswith("%"))
    .map(lambda path: (path, True)),
)
offers = names.flatmap(
    lambda name: st.builds(
        a_file, st.just(name), st.none() | (by_path if name[1] else frames), st.integers(2, 4)
    )
)


def bytes_of(offer: Offer, seed: int) -> bytes:
    return bytes([seed]) * (offer.size - (0 if offer.by_path else 1))


def believed(path: str | Path, record: SidecarRecord) -> None:
    found = read_sidecar(Path(path))
    assert found is not None
    assert found | {"pending": None} == record | {"pending": None}


@given(offers)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_sidecar_that_a_file_has_in_its_life_is_believed(tmp_path: Path, offer: Offer) -> None:
    shutil.rmtree(tmp_path)
    spool, data = SpoolUnderTest(tmp_path), bytes_of(offer, 1)
    transfer = spool.open(offer)
    believed(transfer.file.sidecar, transfer.record)
    transfer.write(0, data[:PACKET], spool.now)
    _leave(transfer, spool)
    believed(transfer.file.sidecar, transfer.record)
    spool.restart()
    again = spool.open(offer)
    assert (again.received, again.record["upload"]) == (PACKET, transfer.record["upload"])
    again.write(PACKET, data[PACKET:], spool.now, protocol.crc(data))
    again.flush()
    record = commit(again, spool.now)
    again.leave()
    assert record is not None
    believed(spool.store.pending.path(record), record)
    spool.restart()
    assert [found["upload"] for found in spool.store.pending.waiting(spool.now)] == [record["upload"]]


def _leave(transfer: Transfer, spool: Spool) -> None:
    transfer.flush()
    transfer.left_behind()
    make_safe(transfer, spool.now)
    transfer.leave()


@dataclass(frozen=True)
class Sent:
    """A file that was acknowledged, and whether its receiver was killed before its report."""

    imei: str
    offer: Offer
    seed: int
    killed: bool


sent = st.builds(Sent, st.sampled_from([IMEI, OTHER]), offers, st.integers(0, 2), st.booleans())


class Receiver:
    """A receiver with its spool, before the media folder of the app."""

    def __init__(self, folder: Path, media: Path) -> None:
        self.folder, self.media = folder, media
        self.start()

    def start(self) -> None:
        self.store = Spool(self.folder, LocalFolder(self.media), Caps())

    def take(self, file: Sent, number: int) -> SidecarRecord | None:
        asker = UploadContext(file.imei, "known", SESSION, BEGAN + timedelta(hours=number))
        transfer = self.store.open(asker, file.offer)
        data = bytes_of(file.offer, file.seed)
        if not transfer.write(transfer.received, data[transfer.received :], asker.now):
            transfer.write(0, data, asker.now)
        transfer.flush()
        record = commit(transfer, asker.now)
        transfer.leave()
        return record

    def report(self, records: list[SidecarRecord], together: int) -> None:
        for at in range(0, len(records), together):
            self.store.pending.delivered(registration.register(records[at : at + together], utcnow()))


def check_all_are_kept(tmp_path: Path, files: list[Sent], together: int) -> None:
    shutil.rmtree(tmp_path / "media", ignore_errors=True)
    shutil.rmtree(tmp_path / "receiver", ignore_errors=True)
    db.session.execute(delete(Upload))
    db.session.commit()
    receiver = Receiver(tmp_path / "receiver", tmp_path / "media")
    given_metadata: list[SidecarRecord] = []
    for number, file in enumerate(files):
        record = receiver.take(file, number)
        if record is not None and not file.killed:
            given_metadata.append(record)
    receiver.report(given_metadata, together)
    receiver.start()
    receiver.report(receiver.store.pending.waiting(BEGAN + timedelta(days=1)), together)
    rows = db.session.execute(select(Upload.imei, Upload.identifier, Upload.path)).all()
    stored = [(row.imei, row.identifier, (tmp_path / "media" / row.path).read_bytes()) for row in rows]
    for file in files:
        assert (file.imei, file.offer.identifier, bytes_of(file.offer, file.seed)) in stored
    untimed = [file for file in files if not (file.offer.metadata and file.offer.metadata.timestamp)]
    assert len(rows) >= len(untimed)
    assert list((tmp_path / "receiver" / "pending").iterdir()) == []
    assert {
        path for path in (tmp_path / "media").rglob("*") if path.is_file() and path.suffix != ".json"
    } == {tmp_path / "media" / row.path for row in rows}


QUICK: dict[str, Any] = {
    "deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}  # fmt: skip
several = st.lists(sent, min_size=1, max_size=4)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@given(several, st.integers(1, 4))
@settings(max_examples=20, **QUICK)
def test_every_acknowledged_file_has_a_row_and_its_bytes(
    app: Flask, tmp_path: Path, files: list[Sent], together: int
) -> None:
    check_all_are_kept(tmp_path, files, together)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@given(several, st.integers(1, 4))
@settings(max_examples=5, **QUICK)
def test_every_acknowledged_file_has_a_row_and_its_bytes_on_postgresql(
    app: Flask, tmp_path: Path, files: list[Sent], together: int
) -> None:
    check_all_are_kept(tmp_path, files, together)
