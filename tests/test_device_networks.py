"""The network from which the files of a device come, and when that is another one than before."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from upload_rows import add_van, sidecar, take

from provisioning.media import device_networks
from provisioning.models import Device, Upload, db


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


FIRST_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


def came(number: int, address: str | None, hours: float = 0) -> Upload:
    """Take a file that came from an address, so many hours after the first."""
    at, upload = (FIRST_AT + timedelta(hours=hours)).isoformat(), f"{number:032x}"
    take(sidecar(upload, address=address, received_at=at, sha256=f"{number:064x}", timestamp=number))
    db.session.expire_all()
    return db.session.get_one(Upload, upload)


@pytest.mark.parametrize(
    ("usual", "same", "other"),
    [
        ("198.51.100.7", "198.51.100.9", "192.0.2.1"),
        ("198.51.100.7", "::ffff:198.51.100.9", "2001:db8::1"),
        ("2001:db8:0:1::1", "2001:db8:0:1:f::2", "2001:db8:0:2::1"),
    ],
)
def test_a_file_tells_its_address_and_whether_that_is_of_another_network_than_before(
    van: Device, usual: str, same: str, other: str
) -> None:
    found = [came(n, address, n) for n, address in enumerate((usual, same, other, other, usual), 1)]
    assert [upload.address for upload in found] == [usual, same, other, other, usual]
    assert [upload.other_network for upload in found] == [False, False, True, True, False]


def test_a_network_that_files_keep_coming_from_is_another_one_for_a_day(van: Device) -> None:
    came(1, "198.51.100.7")
    assert [came(2 + n, "192.0.2.1", hours).other_network for n, hours in enumerate((1, 23, 26))] == [
        True, True, False,
    ]  # fmt: skip


def test_a_file_that_is_told_again_says_the_same_of_its_network(van: Device) -> None:
    came(1, "198.51.100.7")
    assert [came(2, "192.0.2.1", 1).other_network for _ in range(2)] == [True, True]


def test_a_network_that_was_not_seen_for_long_is_another_one_again(van: Device) -> None:
    came(1, "198.51.100.7")
    came(2, "192.0.2.1", 30)
    device_networks.forget_networks(FIRST_AT + timedelta(days=2), 1)
    assert came(3, "198.51.100.7", 60).other_network


def test_a_file_of_an_older_receiver_has_no_address(van: Device) -> None:
    take(sidecar())
    upload = db.session.get_one(Upload, "a" * 32)
    assert (upload.address, upload.other_network) == (None, None)
