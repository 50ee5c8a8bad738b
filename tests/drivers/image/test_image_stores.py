# SPDX-License-Identifier: Apache-2.0
"""What every byte store must do, held against each of them."""

from __future__ import annotations

import resource
import secrets
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from cumulet.kernel.blob import StorageFull
from cumulet.kernel.blob.s3 import Server
from cumulet.kernel.blob.swift import Account, SwiftClient
from cumulet.kernel.errors import NotFound, NotReady
from cumulet.services.image.drivers import swift as swift_driver
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.drivers.fake import FakeStore
from cumulet.services.image.drivers.file import BLOCK, FileStore
from cumulet.services.image.drivers.s3 import S3Store
from cumulet.services.image.drivers.swift import SwiftStore
from support.cloud import RunningCloud
from support.s3_server import ACCESS_KEY, S3Server

STORES: dict[str, Callable[[Path], ByteStore]] = {
    "file": FileStore,
    "fake": lambda _: FakeStore(),
    "fake in a folder": lambda folder: FakeStore(folder=folder),
}
PART = 5 << 20  # bytes: the smallest part of an upload that S3 takes
SMALL = 1 << 20  # bytes: the smallest segment in the object store


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    running = S3Server()
    yield running
    running.close()


def s3(server: S3Server) -> S3Store:
    """A store in a place of its own."""
    return S3Store(connection(server), server.bucket, f"{secrets.token_hex(4)}/", part_size=PART)


def connection(server: S3Server) -> Server:
    return Server(server.endpoint, access_key=ACCESS_KEY, secret_key_file=server.secret_key_file)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account of an object store."""
    users = {"object_store.temp_auth.users": "user_test_tester = testing .admin"}
    cloud = RunningCloud(tmp_path_factory.mktemp("store"), ("identity", "object_store"), settings=users)
    who = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
    answer = httpx.get(f"{cloud.objects_url()}/auth/v1.0", headers=who)
    yield Account(url=answer.headers["x-storage-url"], token=answer.headers["x-auth-token"])
    cloud.close()


def swift(account: Account) -> SwiftStore:
    """A store in a container of its own."""
    return SwiftStore(SwiftClient(lambda: account), secrets.token_hex(4), part_size=SMALL)


@pytest.fixture(params=[*STORES, "s3", "swift"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ByteStore:
    if request.param == "swift":
        return swift(request.getfixturevalue("account"))
    if request.param == "s3":
        return s3(request.getfixturevalue("server"))
    return STORES[request.param](tmp_path / "images")


@pytest.fixture(params=list(STORES))
def loose(request: pytest.FixtureRequest, tmp_path: Path) -> ByteStore:
    """A store whose drafts are written anywhere, in any order."""
    made = STORES[request.param](tmp_path / "images")
    assert made.capabilities.anywhere
    return made


def test_what_is_published_is_what_was_written(store: ByteStore) -> None:
    store.write("draft", 0, b"hello ")
    store.write("draft", 6, b"world")
    assert store.read_draft("draft", 3, 5) == b"lo wo"
    assert list(store.drafts()) == ["draft"]
    with pytest.raises(NotFound):
        store.read("key", 0, 1)
    store.publish("draft", "key", 11)
    assert store.drafts() == {}
    assert list(store.published()) == ["key"]
    assert store.size("key") == 11
    assert store.read("key", 0, 100) == b"hello world"
    assert store.read("key", 6, 2) == b"wo"
    assert store.read("key", 11, 5) == b""


def test_a_draft_that_is_begun_is_written_where_it_belongs(store: ByteStore) -> None:
    store.begin("draft", "key")
    store.write("draft", 0, b"hello")
    with pytest.raises(NotFound):
        store.size("key")
    assert store.read_draft("draft", 1, 2) == b"el"
    store.publish("draft", "key", 5)
    assert store.drafts() == {}
    assert store.read("key", 0, 9) == b"hello"
    store.begin("draft", "other")
    store.write("draft", 0, b"hello")
    store.discard("draft")
    assert store.published().keys() == {"key"}
    for name in ("../x", "a/b"):
        with pytest.raises(ValueError, match="not a name"):
            store.begin(name, "key")
        with pytest.raises(ValueError, match="not a name"):
            store.begin("draft", name)


def test_publishing_twice_does_no_harm(store: ByteStore) -> None:
    store.write("draft", 0, b"hello")
    store.publish("draft", "key", 5)
    store.publish("draft", "key", 5)
    with pytest.raises(NotFound):
        store.publish("draft", "key", 6)
    with pytest.raises(NotFound):
        store.publish("other", "nothing", 0)


def test_an_empty_draft(store: ByteStore) -> None:
    store.write("empty", 0, b"")
    store.publish("empty", "empty", 0)
    assert store.size("empty") == 0
    assert store.read("empty", 0, 5) == b""


def test_a_draft_is_filled_up_to_its_size(store: ByteStore) -> None:
    store.write("draft", 0, b"end")
    store.publish("draft", "key", 100)
    assert store.read("key", 0, 200) == b"end".ljust(100, b"\0")


def test_holes(loose: ByteStore) -> None:
    loose.write("hole", BLOCK, b"end")
    loose.publish("hole", "hole", BLOCK + 100)
    assert loose.size("hole") == BLOCK + 100
    assert loose.read("hole", BLOCK - 2, 7) == b"\0\0end\0\0"


def test_zeros_may_replace_what_was_written(loose: ByteStore) -> None:
    loose.write("draft", 0, b"x" * 2 * BLOCK)
    loose.write("draft", BLOCK, bytes(BLOCK))
    loose.publish("draft", "key", 2 * BLOCK)
    assert loose.read("key", BLOCK - 1, 3) == b"x\0\0"


def test_a_draft_is_cut_to_its_size(store: ByteStore) -> None:
    store.write("draft", 0, b"0123456789")
    store.publish("draft", "key", 4)
    assert store.read("key", 0, 10) == b"0123"


def test_what_is_gone_is_gone(store: ByteStore) -> None:
    store.write("draft", 0, b"x")
    store.discard("draft")
    store.discard("draft")
    with pytest.raises(NotFound):
        store.read_draft("draft", 0, 1)
    store.write("draft", 0, b"x")
    store.publish("draft", "key", 1)
    store.delete("key")
    store.delete("key")
    with pytest.raises(NotFound):
        store.size("key")


def test_names_lead_nowhere_else(store: ByteStore) -> None:
    for name in ("../x", "a/b", "", ".hidden", "x" * 200, "drafts/x"):
        with pytest.raises(ValueError, match="not a name"):
            store.write(name, 0, b"x")
        with pytest.raises(ValueError, match="not a name"):
            store.read(name, 0, 1)


def test_many_threads_write_one_draft(loose: ByteStore) -> None:
    pieces = [threading.Thread(target=loose.write, args=("draft", 100 * n, bytes([n]) * 100)) for n in range(20)]
    for piece in pieces:
        piece.start()
    for piece in pieces:
        piece.join()
    loose.publish("draft", "key", 2000)
    assert loose.read("key", 0, 2000) == b"".join(bytes([n]) * 100 for n in range(20))


def test_zeros_take_no_room_in_files(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for number in range(16):
        store.write("draft", number << 20, bytes(1 << 20))
    store.publish("draft", "key", 16 << 20)
    assert store.capabilities.sparse
    assert store.path("key").stat().st_blocks * 512 < 1 << 20
    assert store.size("key") == 16 << 20


def test_a_full_disk_is_told_in_files(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StorageFull):
            store.write("draft", 0, b"x" * 8192)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_told_in_memory() -> None:
    store = FakeStore(room=10)
    store.write("one", 0, b"12345")
    with pytest.raises(StorageFull):
        store.write("two", 0, b"123456")


def test_addresses_lead_back(store: ByteStore) -> None:
    url = store.url("key")
    assert "://" in url
    assert store.key_of(url) == "key"
    for other in (
        "https://example.org/key",
        f"{url}/../../etc/passwd",
        url.removesuffix("key"),
        url.upper(),
        "",
        "key",
    ):
        assert store.key_of(other) is None


def test_a_large_draft_goes_to_s3_in_parts(server: S3Server) -> None:
    store = s3(server)
    content = b"".join(bytes([number]) * (1 << 20) for number in range(12))
    for offset in range(0, len(content), 1 << 20):
        store.write("draft", offset, content[offset : offset + (1 << 20)])
    with pytest.raises(NotReady):
        store.write("draft", 5, b"again")
    assert store.drafts().keys() == {"draft"}
    assert store.read_draft("draft", (5 << 20) - 1, 2) == b"\4\5"
    assert store.read_draft("draft", len(content) - 1, 9) == b"\x0b"
    store.publish("draft", "key", len(content))
    assert b"".join(store.read("key", offset, 4 << 20) for offset in range(0, len(content), 4 << 20)) == content
    assert store.read("key", 3 << 20, 1) == b"\3"
    assert store.drafts() == {}
    assert store.published().keys() == {"key"}
    assert not store.capabilities.local


def test_a_large_draft_that_is_begun_is_never_copied(server: S3Server) -> None:
    store, key = s3(server), "00000000-0000-0000-0000-00000000feed"
    for content in (b"wrong" * PART, b"right" * PART):
        store.begin("draft", key)
        store.write("draft", 0, content)
        assert store.drafts().keys() == {"draft"}
        assert store.read_draft("draft", PART, 5) == content[:5]
        if content.startswith(b"wrong"):
            store.discard("draft")
            assert store.published() == {}
    store.publish("draft", key, 5 * PART)
    assert store.drafts() == {}
    assert store.read(key, PART + 5, 5) == b"right"
    store.begin("cut", "cut")
    store.write("cut", 0, content)
    store.publish("cut", "cut", PART + 5)
    assert store.size("cut") == PART + 5
    assert store.read("cut", PART, 9) == b"right"


def test_an_upload_to_s3_takes_little_memory(server: S3Server) -> None:
    store, piece = s3(server), secrets.token_bytes(1 << 20)
    assert store.published() == {}
    tracemalloc.start()
    for number in range(40):
        store.write("draft", number << 20, piece)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    store.discard("draft")
    assert most < 4 * PART


def test_what_a_dead_process_left_in_s3_is_found_and_removed(server: S3Server) -> None:
    dead = s3(server)
    key = "00000000-0000-0000-0000-00000000dead"
    dead.begin("theirs", "of-somebody-else")
    dead.write("theirs", 0, bytes(PART + 1))
    dead.write("half", 0, bytes(PART + 1))
    dead.begin("begun", key)
    dead.write("begun", 0, bytes(PART + 1))
    dead.write("sealed", 0, bytes(PART + 1))
    assert dead.read_draft("sealed", PART, 9) == b"\0"
    heir = S3Store(connection(server), server.bucket, dead.url("").partition(f"/{server.bucket}/")[2])
    assert all(age < 600 for age in heir.drafts().values())
    assert heir.drafts().keys() == {"half", "sealed", f"placed.{key}"}
    with pytest.raises(NotFound):
        heir.publish("half", "key", PART + 1)
    heir.discard("half")
    heir.discard("sealed")
    heir.discard(f"placed.{key}")
    assert heir.drafts() == {}


def test_s3_that_is_not_there_or_refuses(server: S3Server, tmp_path: Path) -> None:
    wrong = tmp_path / "secret"
    wrong.write_text("another")
    stranger = S3Store(Server(server.endpoint, access_key=ACCESS_KEY, secret_key_file=wrong), server.bucket)
    with pytest.raises(NotReady, match="refuses"):
        stranger.size("key")
    nowhere = S3Store(Server("http://127.0.0.1:1", access_key="a", secret_key_file=wrong), server.bucket)
    with pytest.raises(NotReady, match="does not answer"):
        nowhere.size("key")
    keyless = S3Store(Server(server.endpoint, access_key="a", secret_key_file=tmp_path / "none"), server.bucket)
    with pytest.raises(NotReady, match="secret key"):
        keyless.size("key")


def test_a_large_draft_goes_to_the_object_store_in_segments(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more segments than a manifest has lines; cut within one, filled behind the last, and put over another."""
    monkeypatch.setattr(swift_driver, "MOST", 2)
    store, content = swift(account), b"".join(bytes([number]) * (SMALL // 2) for number in range(11))
    for offset in range(0, len(content), SMALL // 2):
        store.write("draft", offset, content[offset : offset + SMALL // 2])
    with pytest.raises(NotReady):
        store.write("draft", 5, b"again")
    assert store.read_draft("draft", SMALL // 2 - 1, 2 * SMALL) == content[SMALL // 2 - 1 :][: 2 * SMALL]
    assert store.read_draft("draft", len(content) - 1, 9) == b"\x0a"
    store.publish("draft", "key", len(content))
    assert store.read("key", 0, len(content) + 1) == content
    assert store.size("key") == len(content)
    for size, draft in ((3 * SMALL + 5, "cut"), (5 * SMALL, "whole"), (7 * SMALL + 1, "filled"), (3, "short")):
        store.begin(draft, "key")
        store.write(draft, 0, content[: 5 * SMALL])
        store.publish(draft, "key", size)
        assert store.read("key", 0, 9 * SMALL) == content[: 5 * SMALL][:size].ljust(size, b"\0")
        assert (store.drafts(), store.published().keys()) == ({}, {"key"})
    store.delete("key")
    assert left(account, store) == []


def left(account: Account, store: SwiftStore) -> list[str]:
    client = SwiftClient(lambda: account)
    return [row.name for row in client.rows(store.url("").split("/")[-2])]


def test_what_a_dead_process_left_in_the_object_store(account: Account) -> None:
    dead = swift(account)
    dead.write("half", 0, bytes(SMALL + 1))
    heir = SwiftStore(SwiftClient(lambda: account), dead.url("").split("/")[-2], part_size=SMALL)
    assert heir.drafts().keys() == {"half"}
    assert all(age < 600 for age in heir.drafts().values())
    with pytest.raises(NotFound):
        heir.publish("half", "key", SMALL + 1)
    heir.discard("half")
    assert heir.drafts() == {}
    assert left(account, heir) == []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("work", ["publish", "delete"])
def test_a_process_dies_at_each_request_of_an_image(
    account: Account, work: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is published over another, or deleted: whole or not there, and nothing stays behind."""
    old, new = b"o" * (SMALL + 1), b"n" * (2 * SMALL)
    send, asked, at = SwiftClient._send, 0, 0

    def dying(self: SwiftClient, *words: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == at and moment == "before":
            raise Died
        answer = send(self, *words)
        if asked == at:
            raise Died
        return answer

    while asked >= at:
        asked, at = 0, at + 1
        store = swift(account)
        store.write("old", 0, old)
        store.publish("old", "key", len(old))
        with monkeypatch.context() as patch, suppress(Died):
            patch.setattr(SwiftClient, "_send", dying)
            if work == "delete":
                store.delete("key")
            else:
                store.write("new", 0, new)
                store.publish("new", "key", len(new))
        heir = SwiftStore(SwiftClient(lambda: account), store.url("").split("/")[-2], part_size=SMALL)
        for draft in heir.drafts():
            heir.discard(draft)
        if work == "publish":
            assert heir.read("key", 0, 4 * SMALL) in (old, new)
        heir.delete("key")
        assert left(account, heir) == []
    assert at > 5


class Died(Exception):
    """The process, in the test's words."""
