"""One contract for all media stores: a folder, and a bucket of a real S3 server."""

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import machine
import pytest
import requests
import s3_proxy
import s3_server

from receiver.store.factory import connect
from receiver.store.local_folder import LocalFolder
from receiver.store.media_store import Media, MediaError
from receiver.store.s3 import PART, S3Bucket

BIG = 2 * PART + 12_345  # goes in three parts


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Media:
    if request.param == "folder":
        return LocalFolder(tmp_path / "media")
    return S3Bucket(request.getfixturevalue("bucket"), "fleet/one")


@pytest.fixture
def remote(bucket: str) -> S3Bucket:
    return S3Bucket(bucket, "fleet/one")


def local(tmp_path: Path, data: bytes, name: str = "local.part") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def keys(store: Media, prefix: str) -> list[str]:
    return sorted(entry.key for entry in store.entries(prefix))


@pytest.mark.parametrize("size", [0, 1, 100_000, BIG])
def test_a_file_is_put_byte_for_byte_and_leaves_its_old_place(
    store: Media, tmp_path: Path, size: int
) -> None:
    source = local(tmp_path, content(size))
    store.put(source, "a/b/one.jpg")
    assert not source.exists()
    assert store.size("a/b/one.jpg") == size
    assert store.fetch("a/b/one.jpg", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content(size)


def test_putting_again_after_it_was_put_is_harmless(store: Media, tmp_path: Path) -> None:
    source = local(tmp_path, b"picture")
    store.put(source, "a/one.jpg")
    store.put(source, "a/one.jpg")
    assert store.read("a/one.jpg", 0, 100) == b"picture"


def test_putting_the_same_bytes_over_themselves_is_harmless(store: Media, tmp_path: Path) -> None:
    for _ in range(2):
        store.put(local(tmp_path, b"picture"), "a/one.jpg")
    assert store.read("a/one.jpg", 0, 100) == b"picture"
    assert keys(store, "a/") == ["a/one.jpg"]


def test_putting_what_is_neither_here_nor_there_is_an_error(store: Media, tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        store.put(tmp_path / "nothing", "a/one.jpg")
    assert store.size("a/one.jpg") is None


def test_many_are_put_at_once_and_each_tells_its_own_trouble(store: Media, tmp_path: Path) -> None:
    pairs = [(local(tmp_path, bytes([n]) * 10, f"{n}.part"), f"a/{n}.jpg") for n in range(5)]
    pairs.insert(2, (tmp_path / "nothing", "a/none.jpg"))
    answer = store.put_all(pairs)
    assert [isinstance(error, MediaError) for error in answer] == [False, False, True, False, False, False]
    assert keys(store, "a/") == [f"a/{n}.jpg" for n in range(5)]


def test_a_few_bytes_are_written_over_what_was_there(store: Media) -> None:
    for data in (b"first", b"second", b"second"):
        store.write("pending/one.json", data)
    assert store.read("pending/one.json", 0, 100) == b"second"
    assert keys(store, "pending/") == ["pending/one.json"]


@pytest.mark.parametrize(
    ("begin", "count", "wanted"),
    [
        (0, 10, b"0123456789"),
        (3, 4, b"3456"),
        (8, 100, b"89"),
        (10, 5, b""),
        (500, 5, b""),
        (0, 0, b""),
        (4, 0, b""),
        (9, 1, b"9"),
    ],
)
def test_any_range_of_a_file_can_be_read(store: Media, begin: int, count: int, wanted: bytes) -> None:
    store.write("a/one", b"0123456789")
    assert store.read("a/one", begin, count) == wanted


def test_an_empty_file_reads_as_no_bytes(store: Media) -> None:
    store.write("a/one", b"")
    assert (store.size("a/one"), store.read("a/one", 0, 10)) == (0, b"")


def test_what_is_not_there_is_none_and_no_error(store: Media, tmp_path: Path) -> None:
    assert store.size("a/none") is None
    assert store.read("a/none", 0, 10) is None
    assert store.read("a/none", 0, 0) is None
    assert store.path("a/none") is None
    assert not store.fetch("a/none", tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert list(store.entries("a/")) == []
    store.delete("a/none")
    store.move("a/none", "a/other")
    assert store.size("a/other") is None


def test_a_failed_fetch_leaves_what_was_there(store: Media, tmp_path: Path) -> None:
    (tmp_path / "back").write_bytes(b"older")
    assert not store.fetch("a/none", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir() if "back" in p.name] == ["back"]


def test_fetching_to_where_no_folder_is_is_an_error(store: Media, tmp_path: Path) -> None:
    store.write("a/one", b"x")
    with pytest.raises(MediaError):
        store.fetch("a/one", tmp_path / "no" / "folder" / "back")


def test_a_file_moves_whole_and_moving_again_is_harmless(store: Media, tmp_path: Path) -> None:
    store.put(local(tmp_path, content(BIG)), "quarantine/one.jpg")
    for _ in range(2):
        store.move("quarantine/one.jpg", "days/one.jpg")
    assert store.size("quarantine/one.jpg") is None
    store.fetch("days/one.jpg", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content(BIG)


def test_files_are_removed_one_or_many_and_again(store: Media) -> None:
    for n in range(4):
        store.write(f"a/{n}", b"x")
    store.delete("a/0")
    store.delete("a/1", "a/2", "a/none")
    store.delete("a/1", "a/2", "a/none")
    store.delete()
    assert keys(store, "a/") == ["a/3"]


def test_entries_are_those_below_the_prefix_with_size_and_time(store: Media) -> None:
    began = time.time() - 5
    store.write("partial/1/one.part", b"12345")
    store.write("partial/1/deep/two.part", b"1")
    store.write("partial/12/other.part", b"1")
    found = sorted(store.entries("partial/1/"), key=lambda entry: entry.key)
    assert [(e.key, e.size) for e in found] == [("partial/1/deep/two.part", 1), ("partial/1/one.part", 5)]
    assert all(began < e.modified.timestamp() < time.time() + 5 for e in found)


@pytest.mark.long
def test_more_than_a_thousand_files_are_listed_and_removed(store: Media) -> None:
    for n in range(1003):
        store.write(f"many/{n:04d}", b"")
    assert keys(store, "many/") == [f"many/{n:04d}" for n in range(1003)]
    store.delete(*keys(store, "many/"))
    assert keys(store, "many/") == []


def test_a_store_that_can_take_files_is_ready(store: Media) -> None:
    assert store.ready() is None


def test_only_a_folder_has_paths_and_only_a_bucket_has_links(store: Media) -> None:
    store.write("a/one.jpg", b"picture")
    path, link = store.path("a/one.jpg"), store.link("a/one.jpg", "image/jpeg", None)
    assert (path is None) == store.shared
    assert (link is None) == (not store.shared)
    if path is not None:
        assert path.read_bytes() == b"picture"


# the folder


def test_across_file_systems_a_file_is_copied_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    other = "/tmp" if machine.place() == machine.MEMORY else "/dev/shm"
    there = Path(other, f"dualcam-{os.getpid()}-{time.time_ns()}")
    there.mkdir()
    try:
        assert there.stat().st_dev != tmp_path.stat().st_dev
        source = local(there, content(100_000))
        LocalFolder(tmp_path / "media").put(source, "a/one.jpg")
        files = [p for p in (tmp_path / "media").rglob("*") if p.is_file()]
        assert [p.name for p in files] == ["one.jpg"]
        assert files[0].read_bytes() == content(100_000)
        assert not source.exists()
    finally:
        for path in there.iterdir():
            path.unlink()
        there.rmdir()


def test_a_folder_that_is_a_file_is_not_ready(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path / "media")
    folder.write("a/one", b"x")
    with pytest.raises(MediaError):
        folder.write("a/one/two", b"x")
    with pytest.raises(MediaError):
        folder.put(local(tmp_path, b"x"), "a/one/two")


# the bucket


def test_a_link_serves_ranges_type_and_name_without_credentials(remote: S3Bucket) -> None:
    remote.write("a/one.jpg", b"0123456789")
    link = remote.link("a/one.jpg", "image/jpeg", "van-front.jpg")
    assert link is not None
    whole = requests.get(link, timeout=20)
    assert (whole.status_code, whole.content) == (200, b"0123456789")
    assert whole.headers["Content-Type"] == "image/jpeg"
    assert whole.headers["Content-Disposition"] == 'attachment; filename="van-front.jpg"'
    part = requests.get(link, headers={"Range": "bytes=2-4"}, timeout=20)
    assert (part.status_code, part.content) == (206, b"234")
    assert part.headers["Content-Range"] == "bytes 2-4/10"
    inline = requests.get(remote.link("a/one.jpg", "image/jpeg", None) or "", timeout=20)
    assert inline.headers["Content-Disposition"] == "inline"


def test_a_changed_link_is_refused(remote: S3Bucket) -> None:
    remote.write("a/one.jpg", b"x")
    remote.write("a/two.jpg", b"x")
    link = remote.link("a/one.jpg", "image/jpeg", None) or ""
    assert requests.get(link.replace("/a/one.jpg", "/a/two.jpg"), timeout=20).status_code == 403


def test_prefixes_keep_two_fleets_of_one_bucket_apart(bucket: str, s3: s3_server.Server) -> None:
    one, two = connect(f"s3://{bucket}/one"), connect(f"s3://{bucket}/one-two/")
    one.write("a/x", b"1")
    two.write("a/x", b"2")
    assert (one.read("a/x", 0, 9), two.read("a/x", 0, 9)) == (b"1", b"2")
    names = [item["Key"] for item in s3.client().list_objects_v2(Bucket=bucket)["Contents"]]
    assert sorted(names) == ["one-two/a/x", "one/a/x"]


@pytest.mark.parametrize("size", [100_000, BIG])
def test_bytes_damaged_on_the_way_are_refused_and_the_file_stays_here(
    bucket: str, s3: s3_server.Server, tmp_path: Path, size: int
) -> None:
    data = content(size)
    source = local(tmp_path, data)
    with s3_proxy.between(s3.ports["s3"]) as proxy, s3_server.reachable(s3_server.environment(proxy.url)):
        store = S3Bucket(bucket, "")
        proxy.damage = data[50_000:50_008]
        with pytest.raises(MediaError):
            store.put(source, "a/one.jpg")
        assert proxy.damage is None, "the proxy has changed nothing"
    assert source.read_bytes() == data
    assert S3Bucket(bucket, "").size("a/one.jpg") is None


ERROR = b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
TROUBLES: dict[str, dict[str, Any]] = {
    "away": {"refuse": True},
    "answers 500": {"answer": ERROR % b"500 Internal Server Error"},
    "answers 503": {"answer": ERROR % b"503 Slow Down"},
    "answers 403": {"answer": ERROR % b"403 Forbidden"},
    "answers nonsense": {"answer": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n<htm>"},
    "answers no HTTP": {"answer": b"\x00\x01\x02\x03" * 100},
    "hangs": {"silent": True},
}


@pytest.fixture
def troubled(
    bucket: str, s3: s3_server.Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[s3_proxy.Proxy, S3Bucket]]:
    monkeypatch.setattr("receiver.store.s3.SILENCE_SECONDS", 0.3)
    with s3_proxy.between(s3.ports["s3"]) as proxy, s3_server.reachable(s3_server.environment(proxy.url)):
        store = S3Bucket(bucket, "", patience=1.0)
        store.write("a/one", content(200_000))
        yield proxy, store


@pytest.mark.long
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_store_in_trouble_gives_an_error_in_bounded_time_whatever_is_asked(
    troubled: tuple[s3_proxy.Proxy, S3Bucket], trouble: str, tmp_path: Path
) -> None:
    proxy, store = troubled
    vars(proxy).update(TROUBLES[trouble])
    source = local(tmp_path, content(200_000))
    asked = {
        "put": lambda: store.put(source, "a/two"),
        "read": lambda: store.read("a/one", 0, 10),
        "fetch": lambda: store.fetch("a/one", tmp_path / "back"),
        "entries": lambda: list(store.entries("a/")),
    }
    if trouble != "answers nonsense":  # a head or a deletion has no body that could be nonsense
        asked |= {
            "size": lambda: store.size("a/one"),
            "delete": lambda: store.delete("a/one"),
            "write": lambda: store.write("a/two", b"x"),
            "move": lambda: store.move("a/one", "a/two"),
        }
        assert store.ready() is not None
    began = time.monotonic()
    for name, ask in asked.items():
        if trouble == "answers nonsense" and name in ("put", "read", "fetch"):
            continue
        with pytest.raises(MediaError):
            ask()
    assert time.monotonic() - began < 120
    assert source.exists()
    assert not (tmp_path / "back").exists()


def test_a_store_that_was_away_is_used_again_without_a_restart(
    troubled: tuple[s3_proxy.Proxy, S3Bucket], tmp_path: Path
) -> None:
    proxy, store = troubled
    proxy.refuse = True
    with pytest.raises(MediaError):
        store.put(local(tmp_path, b"picture"), "a/two")
    proxy.refuse = False
    store.put(tmp_path / "local.part", "a/two")
    assert store.read("a/two", 0, 100) == b"picture"


def test_a_store_that_only_drips_is_given_up(
    troubled: tuple[s3_proxy.Proxy, S3Bucket], tmp_path: Path
) -> None:
    proxy, store = troubled
    proxy.drip = 0.2
    store.write("a/big", b"x")
    with pytest.raises(MediaError):
        store.fetch("a/one", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_each_thread_has_connections_of_its_own_to_the_bucket(remote: S3Bucket) -> None:
    with ThreadPoolExecutor(1) as thread:
        theirs = thread.submit(lambda: remote._client).result()
    assert theirs is not remote._client
    assert remote._client is remote._client
    assert theirs._endpoint.http_session is not remote._client._endpoint.http_session


def test_a_wrong_key_is_an_error_and_says_so(
    bucket: str, s3: s3_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the process's own knows the right key
    monkeypatch.setattr("receiver.store.s3._session", boto3.session.Session)
    wrong = s3.environment() | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    with s3_server.reachable(wrong):
        store = S3Bucket(bucket, "")
        with pytest.raises(MediaError):
            store.write("a/one", b"x")
        assert store.ready() is not None


def test_a_bucket_that_is_not_there_is_not_ready(s3: s3_server.Server) -> None:
    assert S3Bucket("nobody-made-this-one", "").ready() is not None
