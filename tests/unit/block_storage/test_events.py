# SPDX-License-Identifier: Apache-2.0
"""What others hear of a volume's life, under Cinder's names."""

from __future__ import annotations

import httpx

from cumulet.kernel.db.outbox import Event
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until


def test_a_volumes_life_is_told(cloud: RunningCloud) -> None:
    heard: list[Event] = []
    for prefix in ("volume", "snapshot"):
        cloud.control.cloud.outbox.subscribe(prefix, heard.append)
    people = environment(cloud)
    headers = {"x-auth-token": people["MEMBER_TOKEN"], "openstack-api-version": "volume 3.71"}
    with httpx.Client(base_url=f"{cloud.control_url}/block-storage/v3", headers=headers) as client:
        volume = client.post("/volumes", json={"volume": {"size": 1, "name": "told"}}).json()["volume"]["id"]
        until(lambda: client.get(f"/volumes/{volume}").json()["volume"]["status"] != "creating")
        made = client.get(f"/volumes/{volume}").json()["volume"]
        assert made["status"] == "available", client.get(f"/messages?resource_uuid={volume}").text
        body = {"attachment": {"volume_uuid": volume, "connector": {"host": "h"}}}
        claim = client.post("/attachments", json=body).json()["attachment"]["id"]
        client.post(f"/attachments/{claim}/action", json={"os-complete": {}})
        client.delete(f"/attachments/{claim}")
        client.post(f"/volumes/{volume}/action", json={"os-extend": {"new_size": 2}})
        until(lambda: client.get(f"/volumes/{volume}").json()["volume"]["size"] == 2)
        client.delete(f"/volumes/{volume}")
    mine = until(lambda: _complete([one for one in heard if one.payload["volume_id"] == volume]))
    assert [one.topic for one in mine] == [
        "volume.create.start", "volume.create.end", "volume.attach.end", "volume.detach.end", "volume.resize.start",
        "volume.resize.end", "volume.delete.start", "volume.delete.end",
    ]  # fmt: skip
    assert all(one.request_id.startswith("req-") for one in mine)
    assert mine[1].payload["status"] == "available"
    assert mine[1].payload["display_name"] == "told"
    assert mine[2].payload["volume_attachment"][0]["attach_status"] == "attached"


def test_a_revert_is_told_of_the_volume_and_of_its_snapshot(cloud: RunningCloud) -> None:
    heard: list[Event] = []
    for prefix in ("volume", "snapshot"):
        cloud.control.cloud.outbox.subscribe(prefix, heard.append)
    headers = {"x-auth-token": environment(cloud)["MEMBER_TOKEN"], "openstack-api-version": "volume 3.71"}
    with httpx.Client(base_url=f"{cloud.control_url}/block-storage/v3", headers=headers) as client:

        def status(path: str) -> str:
            (found,) = client.get(path).json().values()
            return str(found["status"])

        volume = client.post("/volumes", json={"volume": {"size": 1}}).json()["volume"]["id"]
        until(lambda: status(f"/volumes/{volume}") == "available")
        snapshot = client.post("/snapshots", json={"snapshot": {"volume_id": volume}}).json()["snapshot"]["id"]
        until(lambda: status(f"/snapshots/{snapshot}") == "available")
        client.post(f"/volumes/{volume}/action", json={"revert": {"snapshot_id": snapshot}})
        until(lambda: status(f"/volumes/{volume}") == "available")
        told = until(lambda: _of(heard, volume, "revert") if len(_of(heard, volume, "revert")) == 4 else [])
        client.delete(f"/volumes/{volume}?cascade=true")
    assert [(one.topic, one.payload["status"]) for one in told] == [
        ("volume.revert.start", "reverting"), ("snapshot.revert.start", "restoring"),
        ("volume.revert.end", "available"), ("snapshot.revert.end", "available"),
    ]  # fmt: skip


def test_the_life_of_a_group_is_told(cloud: RunningCloud) -> None:
    heard: list[Event] = []
    for prefix in ("group", "groups", "group_snapshot", "group_type", "snapshot"):
        cloud.control.cloud.outbox.subscribe(prefix, heard.append)
    people = environment(cloud)
    headers = {"x-auth-token": people["MEMBER_TOKEN"], "openstack-api-version": "volume 3.71"}
    admin = {**headers, "x-auth-token": people["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/block-storage/v3", headers=headers) as client:

        def ready(path: str) -> bool:
            (found,) = client.get(path).json().values()
            return bool(found["status"] == "available")

        words = {"group_type": {"name": f"told-{people['SUFFIX']}"}}
        kind = client.post("/group_types", json=words, headers=admin).json()["group_type"]["id"]
        words = {"group": {"group_type": kind, "volume_types": ["__DEFAULT__"], "name": "told"}}
        group = client.post("/groups", json=words).json()["group"]["id"]
        until(lambda: ready(f"/groups/{group}"))
        words = {"volume": {"size": 1, "volume_type": "__DEFAULT__"}}
        volume = client.post("/volumes", json=words).json()["volume"]["id"]
        until(lambda: ready(f"/volumes/{volume}"))
        client.put(f"/groups/{group}", json={"group": {"add_volumes": volume}})
        client.post(f"/groups/{group}/action", json={"reset_status": {"status": "available"}}, headers=admin)
        taken = client.post("/group_snapshots", json={"group_snapshot": {"group_id": group}}).json()
        snapshot = taken["group_snapshot"]["id"]
        until(lambda: ready(f"/group_snapshots/{snapshot}"))
        client.delete(f"/group_snapshots/{snapshot}")
        until(lambda: client.get(f"/group_snapshots/{snapshot}").status_code == 404)
        client.post(f"/groups/{group}/action", json={"delete": {"delete-volumes": True}})
        until(lambda: client.get(f"/groups/{group}").status_code == 404)
        client.delete(f"/group_types/{kind}", headers=admin)

    def mine(one: Event) -> bool:
        said = one.payload
        ids = {said.get(name) for name in ("id", "group_id", "group_snapshot_id", "volume_id")}
        return bool(ids & {group, snapshot, volume}) or said.get("group_types", {}).get("id") == kind

    def told() -> list[str]:
        topics = [one.topic for one in heard if mine(one)]
        return topics if "group_type.delete" in topics else []

    assert until(told) == [
        "group_type.create", "group.create.start", "group.create.end", "group.update.start", "group.update.end",
        "groups.reset_status.start", "groups.reset_status.end", "snapshot.create.start", "group_snapshot.create.start",
        "snapshot.create.end", "group_snapshot.create.end", "group_snapshot.delete.start", "snapshot.delete.start",
        "snapshot.delete.end", "group_snapshot.delete.end", "group.delete.start", "group.delete.end",
        "group_type.delete",
    ]  # fmt: skip


def test_what_is_managed_and_unmanaged_is_told_by_names_of_its_own(cloud: RunningCloud) -> None:
    heard: list[Event] = []
    for prefix in ("volume", "snapshot"):
        cloud.control.cloud.outbox.subscribe(prefix, heard.append)
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"], "openstack-api-version": "volume 3.71"}
    with httpx.Client(base_url=f"{cloud.control_url}/block-storage/v3", headers=headers) as client:

        def made(path: str, name: str, **words: object) -> str:
            key = str(client.post(path, json={name: words}).json()[name]["id"])
            until(lambda: client.get(f"/{name}s/{key}").json()[name]["status"] == "available")
            return key

        def unmanaged(kind: str, key: str) -> None:
            client.post(f"/{kind}s/{key}/action", json={"os-unmanage": None})
            until(lambda: client.get(f"/{kind}s/{key}").status_code == 404)

        volume = made("/volumes", "volume", size=1)
        place = client.get(f"/volumes/{volume}").json()["volume"]["os-vol-host-attr:host"]
        snapshot = made("/snapshots", "snapshot", volume_id=volume)
        unmanaged("snapshot", snapshot)
        snapshot = made("/manageable_snapshots", "snapshot", volume_id=volume, ref={"source-id": snapshot})
        client.delete(f"/snapshots/{snapshot}")
        until(lambda: client.get(f"/snapshots/{snapshot}").status_code == 404)
        unmanaged("volume", volume)
        again = made("/manageable_volumes", "volume", host=place, ref={"source-id": volume})
        client.delete(f"/volumes/{again}")
        until(lambda: client.get(f"/volumes/{again}").status_code == 404)
    for name, key in (
        ("snapshot.manage_existing_snapshot", volume), ("volume.unmanage", volume), ("volume.manage_existing", again),
    ):  # fmt: skip

        def mine(name: str = name, key: str = key) -> list[str]:
            found = [one for one in heard if one.topic.startswith(f"{name}.") and one.payload["volume_id"] == key]
            return [one.topic for one in found] if len(found) > 1 else []

        assert until(mine) == [f"{name}.start", f"{name}.end"]


def _of(events: list[Event], volume: str, word: str) -> list[Event]:
    return [one for one in events if one.payload["volume_id"] == volume and f".{word}." in one.topic]


def _complete(events: list[Event]) -> list[Event]:
    return events if events and events[-1].topic == "volume.delete.end" else []
