# SPDX-License-Identifier: Apache-2.0
"""Backups in the object store: an agent that dies at any request, a store that refuses, and what is asked of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from test_backups import MIB, SIZE, Machine

from cumulet.kernel.blob import StorageFull
from cumulet.kernel.blob.swift import Account, Answer, SwiftBlobs, SwiftClient
from cumulet.kernel.errors import Conflict, NotFound, NotReady, Unsupported
from cumulet.kernel.ids import new_uuid
from cumulet.settings.volume_backups import VolumeBackups
from support.cloud import RunningCloud

REQUESTS, REMOVALS = 11, 7  # of the backup below, and of its removal
SAID = VolumeBackups(driver="swift", object_size=MIB)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An account of an object store, and who may use it."""
    users = {"object_store.temp_auth.users": "user_test_tester = testing .admin"}
    cloud = RunningCloud(tmp_path_factory.mktemp("store"), ("identity", "object_store"), settings=users)
    who = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
    answer = httpx.get(f"{cloud.objects_url()}/auth/v1.0", headers=who)
    yield {"url": answer.headers["x-storage-url"], "token": answer.headers["x-auth-token"]}
    cloud.close()


@pytest.fixture
def machine(account: dict[str, str], tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "host", "fake", SAID, account)
    yield machine
    machine.close()


class Died(Exception):
    """The agent, in the test's words."""


def dying(at: int, moment: str, asked: list[str]) -> Callable[..., Any]:
    """What sends requests until number `at`, which kills `before` it is sent or `after` it was answered."""
    send = SwiftClient._send

    def instead(self: SwiftClient, method: str, path: str, *words: Any) -> Answer:
        asked.append(f"{method} {unquote(path)}")
        if len(asked) == at and moment == "before":
            raise Died
        answer = send(self, method, path, *words)
        if len(asked) == at:
            raise Died
        return answer

    return instead


def client_of(account: dict[str, str]) -> SwiftClient:
    return SwiftClient(lambda: Account(**account))


def names(account: dict[str, str], container: str) -> list[str]:
    found = httpx.get(f"{account['url']}/{container}", headers={"x-auth-token": account["token"]})
    return found.text.splitlines() if found.status_code in (200, 204) else []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_agent_dies_at_each_request(
    machine: Machine, account: dict[str, str], moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a backup, and of its removal; told again, it does what is left, and nothing more is left in the end."""
    volume, first = machine.volume(), new_uuid()
    machine.write(volume, 0, os.urandom(100_000))
    machine.write(volume, 2 * MIB, os.urandom(2 * MIB - 70_000))
    machine.ask("volume.snapshot", id=first, volume_id=volume)
    content, deaths = machine.content(volume), 0
    for at in range(1, REQUESTS + 1):
        box = f"{moment}-{at}"
        stored = {"container": box, "name": f"b-{at}"}
        order = {"stored": stored, "snapshot_id": first, "volume_id": volume}
        for verb, words in (("backup.write", order), ("backup.delete", stored)):
            asked: list[str] = []
            with monkeypatch.context() as patch:
                patch.setattr(SwiftClient, "_send", dying(at, moment, asked))
                try:
                    machine.ask(verb, **words)
                except Died:
                    deaths += 1
            if verb == "backup.write":
                assert machine.through(verb, words)["done"]
                assert len(names(account, box)) == len(set(names(account, box))) == 5, asked
                made = new_uuid()
                machine.restore(stored, made, new=True)
                assert machine.content(made) == content
                machine.ask("volume.delete", id=made)
            else:
                machine.ask(verb, **words)
                assert names(account, box) == [], asked
    assert deaths == REQUESTS + REMOVALS


def test_containers_have_the_names_that_were_asked_for(machine: Machine, account: dict[str, str]) -> None:
    stored = {}
    volume, said = machine.volume(), ("plain", "with words and ümläut", "per%cent?&", "a/b", "x" * 250 + "ü" * 5)
    machine.write(volume, MIB, b"content" * 1000)
    for box in said:
        name = new_uuid()
        stored[box] = {"container": box, "name": name}
        machine.ask("volume.snapshot", id=name, volume_id=volume)
        machine.through("backup.write", {"stored": stored[box], "snapshot_id": name, "volume_id": volume})
    listed = httpx.get(account["url"], headers={"x-auth-token": account["token"]}).text.splitlines()
    assert set(said[:3]) <= set(listed)
    assert len([each for each in listed if each.startswith("container-")]) == 2
    for box in said:
        assert machine.ask("backup.look", **stored[box])["size"] == SIZE
        machine.ask("backup.delete", **stored[box])


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, NotReady), (403, Conflict), (409, NotReady), (413, StorageFull), (422, NotReady), (503, NotReady),
     (507, StorageFull)],
)  # fmt: skip
def test_what_refusals_mean(status: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of({"url": "http://127.0.0.1:9/v1/AUTH_a", "token": "secret"})
    monkeypatch.setattr(client, "_send", lambda *_: Answer(status, {}, b""))
    store = SwiftBlobs(client)
    with pytest.raises(error) as refused:
        store.put("c/o", b"x")
    assert "secret" not in str(refused.value)


def test_nobody_at_the_address() -> None:
    account = Account(url="http://127.0.0.1:9/v1/AUTH_a", token="secret")
    assert "secret" not in repr(account)
    for url in (account.url, "https://127.0.0.1:9/v1/AUTH_a"):
        store = SwiftBlobs(client_of({"url": url, "token": "secret"}))
        with pytest.raises(NotReady, match="does not answer: ConnectionRefusedError"):
            store.get("c/o")


def test_a_connection_that_was_closed_is_made_anew(account: dict[str, str]) -> None:
    client = client_of(account)
    store = SwiftBlobs(client)
    store.put("again/one", b"x")
    assert len(client._idle) == 1
    client._idle[0].sock.shutdown(2)
    assert store.get("again/one") == b"x"
    store.delete_all("again")
    assert list(store.names("again")) == []
    client.close()
    assert client._idle == []


def test_a_storage_policy_that_is_not_there(account: dict[str, str]) -> None:
    store = SwiftBlobs(client_of(account), policy="silver")
    with pytest.raises(Conflict, match="refuses to PUT: 400"):
        store.put("with-policy/one", b"x")


def test_who_orders_must_say_whose_account_it_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "host", "fake", SAID)
    with pytest.raises(Unsupported):
        machine.ask("backup.look", container="c", name="b")
    machine.close()


def test_lists_of_many_pages(account: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cumulet.kernel.blob.swift.PAGE", 3)
    store = SwiftBlobs(client_of(account))
    said = [f"paged/b/{number}" for number in range(8)]
    for name in (*said, "paged/bc/0"):
        store.put(name, b"")
    assert list(store.names("paged/b")) == said
    store.delete_all("paged/b")
    assert list(store.names("paged")) == ["paged/bc/0"]
    with pytest.raises(NotFound):
        store.get(said[0])
