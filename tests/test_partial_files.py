"""Partial files: which one an offer continues, which are kept, and from which address they came."""

import ipaddress
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import spool_under_test
from driver import commit, make_safe
from spool_under_test import DATA, IMEI, SESSION, Shared, SpoolUnderTest, leave, leave_rest, offer, partials

from receiver.spool.file_transfer import Transfer
from receiver.spool.spool import PARTIALS_KEPT, Caps, Spool
from receiver.spool.upload_context import UploadContext
from receiver.store.durability import StorageError
from receiver.wire.protocol import PACKET

spool = spool_under_test.spool  # the same fixture


pytestmark = pytest.mark.quick


# files without a time


def test_without_a_time_two_files_with_an_equal_packet_are_not_spliced(spool: SpoolUnderTest) -> None:
    first, second, equal = (bytes([number]) * PACKET for number in (1, 2, 3))
    transfer = spool.open(offer(0))
    transfer.write(0, first + equal, spool.now)
    leave(transfer, spool.now)
    transfer = spool.open(offer(0))
    assert transfer.received == 2 * PACKET
    # a CRC that begins anew: compared from the first byte
    assert not transfer.write(2 * PACKET, second, spool.now)
    assert transfer.received == 0
    assert not transfer.write(0, second + equal, spool.now)  # another file
    transfer.write(0, second + equal + second * 2, spool.now)
    transfer.flush()
    record = commit(transfer, spool.now)
    assert record is not None
    assert spool.store.media.read(record["path"], 0, 9999) == second + equal + second * 2


def test_connections_that_bring_no_byte_cost_a_file_without_a_time_nothing(spool: SpoolUnderTest) -> None:
    part = spool.leave_partial(3, offer=offer(0))
    for _ in range(3):
        leave(spool.open(offer(0)), spool.now)
        assert part.stat().st_size == 3 * PACKET


def test_a_line_that_breaks_while_its_file_is_compared_costs_nothing_that_is_held(
    spool: SpoolUnderTest,
) -> None:
    part = spool.leave_partial(3, offer=offer(0))
    transfer = spool.open(offer(0))
    assert not transfer.write(3 * PACKET, DATA[3 * PACKET :], spool.now)
    transfer.write(0, DATA[:PACKET], spool.now)
    leave(transfer, spool.now)
    assert part.stat().st_size == 3 * PACKET
    spool.restart()
    assert spool.open(offer(0)).received == 3 * PACKET


# partial files of a device


def test_a_partial_file_that_nothing_came_of_goes_with_its_session(spool: SpoolUnderTest) -> None:
    for number in range(20):
        leave(spool.open(offer(1_795_600_000_000 + number)), spool.now)
    assert partials(spool) == []


def test_of_a_devices_partial_files_the_newest_are_kept_and_the_product_hears_of_the_others(
    spool: SpoolUnderTest,
) -> None:
    in_hand = spool.open(offer(1))
    in_hand.write(0, DATA[:PACKET], spool.now)
    left = []
    for number in range(2, PARTIALS_KEPT + 5):
        spool.now += timedelta(seconds=1)
        left.append(spool.leave_partial(1, offer=offer(number)))
    assert sorted(path for path in partials(spool) if path.suffix == ".part") == sorted(
        [Path(in_hand.file.part), *left[-PARTIALS_KEPT:]]
    )
    assert list(spool.store.given_up) == [path.stem for path in left[:-PARTIALS_KEPT]]


def test_a_partial_file_that_is_removed_under_a_session_does_not_come_back_with_a_hole(
    spool: SpoolUnderTest,
) -> None:
    transfer = spool.open(offer())
    transfer.write(0, DATA[:PACKET], spool.now)
    transfer.flush()
    spool.store.files.close(transfer.file.part)  # others were busier
    Path(transfer.file.part).unlink()
    transfer.write(PACKET, DATA[PACKET : 2 * PACKET], spool.now)
    with pytest.raises(StorageError):
        transfer.flush()
    assert not Path(transfer.file.part).exists()


def test_of_what_a_device_left_in_a_shared_store_the_newest_are_kept(spool: SpoolUnderTest) -> None:
    spool.store = Spool(spool.folder / "spool", Shared(spool.folder / "media"), Caps())
    parts = []
    for number in range(PARTIALS_KEPT + 2):
        parts.append(spool.leave_partial(1, offer=offer(1 + number)))
        leave_rest(spool)
        for path in (spool.folder / "media").rglob(f"{parts[-1].stem}*"):
            os.utime(path, (number, number))
    kept = {path.name.partition(".")[0] for path in (spool.folder / "media" / "partial").rglob("*.part")}
    assert kept == {path.stem for path in parts[-PARTIALS_KEPT:]}
    assert list(spool.store.given_up) == [path.stem for path in parts[:-PARTIALS_KEPT]]


# from where a partial file came

OWN = (ipaddress.ip_network("198.51.100.0/24"),)


def opened_from(spool: SpoolUnderTest, address: str, networks: tuple[Any, ...] = ()) -> Transfer:
    return spool.store.open(UploadContext(IMEI, "known", SESSION, spool.now, address, networks), offer())


def left_from(spool: SpoolUnderTest, address: str) -> Path:
    """Leave two packets of a file that came from an address."""
    transfer = opened_from(spool, address)
    transfer.write(0, DATA[: 2 * PACKET], spool.now)
    transfer.flush()
    transfer.left_behind()
    make_safe(transfer, spool.now)
    transfer.leave()
    return Path(transfer.file.part)


def test_a_partial_file_tells_the_address_that_its_last_session_came_from(spool: SpoolUnderTest) -> None:
    left_from(spool, "198.51.100.7")
    assert opened_from(spool, "198.51.100.8").record["address"] == "198.51.100.8"


@pytest.mark.parametrize(
    ("address", "received"),
    [("192.0.2.1", 0), ("198.51.100.7", 2 * PACKET), ("::ffff:198.51.100.7", 2 * PACKET)],
)
def test_only_a_partial_file_from_the_named_networks_goes_on(
    spool: SpoolUnderTest, address: str, received: int
) -> None:
    part = left_from(spool, address)
    assert opened_from(spool, "198.51.100.8", OWN).received == received
    assert part.exists() == bool(received)


@pytest.mark.parametrize("answer", [None, 7, "nowhere", {"a": 1}])
def test_a_sidecar_without_an_address_loses_no_byte(spool: SpoolUnderTest, answer: object) -> None:
    sidecar = left_from(spool, "198.51.100.7").with_suffix(".json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"address": answer}))
    assert opened_from(spool, "198.51.100.8", OWN).received == 2 * PACKET
