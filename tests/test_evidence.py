"""What a trial takes for proof: rows and files against what was acknowledged to cameras and what they sent."""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import trials  # noqa: F401 - puts what trials need on the path
from simulator.metadata import MetadataAnswer, metadata_answer_of
from trials.evidence import BrokenPromise, Database, Sent, Tally, bounds, stored_once

IMEI = "352094082736916"
PICTURE = b"a dark garage"
SHA256 = hashlib.sha256(PICTURE).hexdigest()
TIMED = Sent(IMEI, "%photof", 1_795_600_000_000, SHA256)
UNTIMED = Sent(IMEI, "%photof", 0, SHA256)


class Product:
    """A folder and a database as the product leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "spool" / "pending").mkdir(parents=True)
        self.database = sqlite3.connect(folder / "test.db", isolation_level=None)
        self.database.execute("CREATE TABLE uploads (imei, identifier, timestamp, sha256, path, size, state)")

    def stores(self, sent: Sent, path: str) -> None:
        """Store a file with its row."""
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).write_bytes(PICTURE)
        moment = "2026-11-25 09:46:40.000000" if sent.stamp else None
        row = (sent.imei, sent.identifier, moment, sent.sha256, path.removeprefix("media/"), len(PICTURE))
        self.database.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, 'stored')", row)

    def judged_by(self, tally: Tally) -> dict[str, object]:
        """Hold the promise against what cameras did."""
        database = Database(f"sqlite:///{self.folder}/test.db")
        return stored_once(database, self.folder / "media", self.folder / "spool", tally, seconds=0.3)


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    made = Product(tmp_path)
    yield made
    made.database.close()


def test_of_each_ten_cameras_one_is_silent_one_tells_no_time_and_two_by_path_no_trigger() -> None:
    for first in (0, 10, 230):
        counts = Counter(metadata_answer_of(first + place) for place in range(10))
        assert counts == {
            MetadataAnswer.ALL: 5, MetadataAnswer.NOTHING: 1, MetadataAnswer.NO_TIME: 1,
            MetadataAnswer.NO_TRIGGER: 1, MetadataAnswer.RAW: 1, MetadataAnswer.PATH: 1,
        }  # fmt: skip


def test_a_file_with_a_time_is_there_once_however_often_it_was_sent(product: Product) -> None:
    product.stores(TIMED, "media/1.jpg")
    tally = Tally(acknowledged=[TIMED], unheard=[TIMED, TIMED])
    assert product.judged_by(tally)["rows"] == 1
    product.stores(TIMED, "media/2.jpg")
    with pytest.raises(BrokenPromise, match="stored twice"):
        product.judged_by(tally)


def test_two_files_without_a_time_must_both_be_there_even_with_the_same_bytes(product: Product) -> None:
    product.stores(UNTIMED, "media/1.jpg")
    with pytest.raises(BrokenPromise, match="rows are missing"):
        product.judged_by(Tally(acknowledged=[UNTIMED, UNTIMED]))
    product.stores(UNTIMED, "media/2.jpg")
    assert product.judged_by(Tally(acknowledged=[UNTIMED, UNTIMED]))["acknowledged_without_time"] == 2


def test_a_file_without_a_time_may_be_there_as_often_as_it_was_sent_whole_and_no_more(
    product: Product,
) -> None:
    product.stores(UNTIMED, "media/1.jpg")
    product.stores(UNTIMED, "media/2.jpg")
    assert product.judged_by(Tally([UNTIMED], [UNTIMED]))["stored_again_without_time"] == 1
    with pytest.raises(BrokenPromise, match="stored twice"):
        product.judged_by(Tally([UNTIMED]))


def test_a_row_with_another_time_than_the_camera_told_proves_nothing(product: Product) -> None:
    product.stores(UNTIMED, "media/1.jpg")
    with pytest.raises(BrokenPromise, match="no row"):
        product.judged_by(Tally([TIMED]))


def test_a_file_without_a_row_and_two_rows_of_one_file_are_told(product: Product) -> None:
    product.stores(UNTIMED, "media/1.jpg")
    (product.folder / "media" / "2.jpg").write_bytes(PICTURE)
    with pytest.raises(BrokenPromise, match="without a row"):
        product.judged_by(Tally([UNTIMED], [UNTIMED]))
    product.stores(UNTIMED, "media/2.jpg")
    product.stores(UNTIMED, "media/2.jpg")
    with pytest.raises(BrokenPromise, match="share a file"):
        product.judged_by(Tally([UNTIMED] * 3))


def test_a_camera_that_has_one_file_with_a_time_acknowledged_twice_is_told() -> None:
    with pytest.raises(BrokenPromise, match="one file as two"):
        bounds(Tally([TIMED, TIMED]))
