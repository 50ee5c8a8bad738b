# SPDX-License-Identifier: Apache-2.0
"""Backups of real files in the cloud's own object store: whose account they are in, and what stops and loses none."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from test_backups_of_clouds import MIB, World

from clients.openstack_command import OpenStackCommand
from cumulet.kernel.blob.swift import SwiftClient
from cumulet.kernel.db import sql, tables
from cumulet.services.block_storage.store import backups as store
from cumulet.services.identity.types import Target
from support.people import PASSWORD, People
from support.waiting import until

pytestmark = pytest.mark.timeout(300)

SWIFT = {"volume_backups.driver": "swift", "volume_backups.object_size": str(MIB)}


class ObjectWorld(World):
    """A `World` with an object store beside it."""

    def __init__(self, folder: Path, **said: str) -> None:
        super().__init__(folder, {**SWIFT, **said}, "object_store")
        self.running.objects_url()

    def objects(self, token: str = "MEMBER_TOKEN", project: str = "PROJECT_ID") -> httpx.Client:
        account = f"{self.running.objects_url()}/v1/AUTH_{self.people[project]}/"
        return httpx.Client(base_url=account, headers={"x-auth-token": self.people[token]}, timeout=60)

    def names(self, container: str) -> list[str]:
        with self.objects() as client:
            return client.get(container).text.splitlines()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectWorld]:
    world = ObjectWorld(tmp_path_factory.mktemp("objects"))
    yield world
    world.close()


def test_a_backup_waits_for_the_store(world: ObjectWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = world.volume()
    world.write(volume, MIB, os.urandom(3000))
    rows = select(tables.saga.c.error).where(tables.saga.c.finished_at.is_(None))
    db = world.running.control.cloud.db

    def refused(_self: SwiftClient, _url: str) -> http.client.HTTPConnection:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(SwiftClient, "_connect", refused)
        words = {"backup": {"volume_id": volume, "container": "waiting"}}
        backup = world.http.post("/backups", json=words).json()["backup"]["id"]
        until(lambda: "does not answer" in (sql.scalar(db, rows.where(tables.saga.c.subject == backup)) or ""), 60)
    assert world.settled("backup", backup)["object_count"] == 3
    assert len(world.names("waiting")) == 3
    # What opened the store to the host was written down nowhere.
    kept = sql.tuples(db, select(tables.saga).where(tables.saga.c.subject == backup))
    assert kept
    assert not [row for row in kept if "pass." in str(row)]


def test_a_chain_lies_in_the_users_account(world: ObjectWorld, tmp_path: Path) -> None:
    volume = world.volume()
    world.write(volume, 3 * MIB, os.urandom(200_000))
    full = world.backup(volume, container="a box of mine")
    world.write(volume, 900 * MIB, os.urandom(1000))
    then = world.keep(volume, tmp_path / "then")
    later = world.backup(volume, incremental=True)
    world.write(volume, 0, b"since")
    assert {name.split("/")[0] for name in world.names("a%20box%20of%20mine")} == {full}
    assert {name.split("/")[0] for name in world.names("volumebackups")} == {later}
    with world.objects("OTHER_TOKEN", "OTHER_PROJECT_ID") as client:
        assert client.get("volumebackups").status_code == 404
    answer = world.http.post(f"/backups/{later}/restore", json={"restore": {"volume_id": volume}})
    assert answer.status_code == 202, answer.text
    world.settled("volume", volume)
    assert world.same(volume, then)
    for each in (later, full):
        # An administrator of another project removes it from the account where it is.
        assert world.admin.delete(f"/backups/{each}").status_code == 202
        until(lambda each=each: world.http.get(f"/backups/{each}").status_code == 404)
    assert world.names("a%20box%20of%20mine") == world.names("volumebackups") == []


def test_a_record_brings_it_back(world: ObjectWorld, tmp_path: Path) -> None:
    volume = world.volume()
    world.write(volume, 5 * MIB, os.urandom(70_000))
    backup, then = world.backup(volume, container="recorded"), world.keep(volume, tmp_path / "then")
    record = world.admin.get(f"/backups/{backup}/export_record").json()["backup-record"]
    db = world.running.control.cloud.db
    db.write(lambda tx: store.remove(tx, backup))
    # In the account of another project it is not found; deleting that row touches nothing of this one.
    answer = world.admin.post("/backups/import_record", json={"backup-record": record})
    assert answer.status_code == 201, answer.text
    assert world.settled("backup", backup, "error", world.admin)["fail_reason"] == (
        "There is no such backup in the store."
    )
    world.admin.delete(f"/backups/{backup}")
    until(lambda: world.admin.get(f"/backups/{backup}").status_code == 404)
    owner = admin_of(world, world.people["PROJECT_ID"])
    assert owner.post("/backups/import_record", json={"backup-record": record}).status_code == 201
    world.settled("backup", backup)
    answer = world.http.post(f"/backups/{backup}/restore", json={"restore": {"name": "brought back"}})
    made = answer.json()["restore"]["volume_id"]
    world.settled("volume", made)
    assert world.same(made, then)
    owner.close()


def test_a_quota_leaves_nothing(world: ObjectWorld) -> None:
    volume = world.volume()
    world.write(volume, MIB, os.urandom(100_000))
    with world.objects() as client:
        client.put("narrow", headers={"x-container-meta-quota-bytes": "90000"})
    words = {"backup": {"volume_id": volume, "container": "narrow"}}
    backup = world.http.post("/backups", json=words).json()["backup"]["id"]
    found = world.settled("backup", backup, "error")
    assert found["fail_reason"] == "The object store has no room, or the account's quota is used up."
    assert world.names("narrow") == []
    assert world.http.get(f"/volumes/{volume}").json()["volume"]["status"] == "available"
    world.http.delete(f"/backups/{backup}")


def test_what_its_owner_spoils_is_not_restored(world: ObjectWorld) -> None:
    volume = world.volume()
    world.write(volume, MIB, os.urandom(50_000))
    backup = world.backup(volume, container="spoilt")
    data = next(name for name in world.names("spoilt") if "/data-" in name)
    with world.objects() as client:
        client.put(f"spoilt/{data}", content=b"another")
    assert world.http.post(f"/backups/{backup}/restore", json={"restore": {}}).status_code == 202
    until(lambda: world.http.get(f"/backups/{backup}").json()["backup"]["status"] == "available", 60)
    volumes = world.http.get("/volumes/detail").json()["volumes"]
    assert [one["status"] for one in volumes if one["name"] == f"restore_backup_{backup}"] == ["error_restoring"]


def test_the_client_names_the_container(world: ObjectWorld) -> None:
    named = {"OS_USERNAME": f"member-{world.people['SUFFIX']}", "OS_PASSWORD": PASSWORD}
    openstack = OpenStackCommand(world.running, **named, OS_PROJECT_NAME=f"project-{world.people['SUFFIX']}")
    volume = world.volume()
    world.write(volume, MIB, b"x" * 5000)
    backup = openstack(f"volume backup create --container by-client {volume}")["id"]
    world.settled("backup", backup)
    later = openstack(f"volume backup create --incremental --container by-client {volume}")["id"]
    world.settled("backup", later)
    listed = [row["Name"] for row in openstack("object list by-client")]
    assert {name.split("/")[0] for name in listed} == {backup, later}
    assert openstack(f"volume backup show {later}")["container"] == "by-client"
    made = openstack(f"volume backup restore {later} by-client-copy")["volume_id"]
    world.settled("volume", made)
    openstack.text(f"volume backup delete {later}")
    until(lambda: world.http.get(f"/backups/{later}").status_code == 404)
    openstack.text(f"volume backup delete {backup}")
    until(lambda: openstack("object list by-client") == [])


def test_all_backups_in_one_projects_account(tmp_path: Path) -> None:
    world = ObjectWorld(tmp_path / "one", **{"volume_backups.swift.auth": "single_user"})
    try:
        volume = world.volume()
        world.write(volume, MIB, os.urandom(3000))
        backup = world.backup(volume)
        with world.objects() as client:
            assert client.get("volumebackups").status_code == 404
        service = People(world.running).named_project("service")
        with admin_of(world, service, f"{world.running.objects_url()}/v1/AUTH_{service}") as keeper:
            assert len(keeper.get("volumebackups").text.splitlines()) == 3
            made = world.http.post(f"/backups/{backup}/restore", json={"restore": {}}).json()["restore"]["volume_id"]
            world.settled("volume", made)
            world.http.delete(f"/backups/{backup}")
            until(lambda: world.http.get(f"/backups/{backup}").status_code == 404)
            assert keeper.get("volumebackups").text == ""
    finally:
        world.close()


def admin_of(world: ObjectWorld, project: str, url: str = "") -> httpx.Client:
    """Somebody who is an administrator in the project."""
    people = People(world.running)
    token = people.token(people.holder("admin", Target.PROJECT, project), {"project": {"id": project}})
    headers = {"x-auth-token": token, "openstack-api-version": "volume 3.71"}
    return httpx.Client(base_url=url or world.http.base_url, headers=headers, timeout=60)
