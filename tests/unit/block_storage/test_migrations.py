# SPDX-License-Identifier: Apache-2.0
"""Volumes that move between back ends and hosts, in real files and over real exports, and what stands in their way."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cumulet.kernel.db.outbox import Event
from cumulet.kernel.errors import NotReady
from cumulet.services.block_storage.logic import exports
from fakes.hosts import another_host
from support.caller import Caller
from support.cloud import RunningCloud
from support.engines import ENGINES
from support.people import environment
from support.waiting import until

ROOT = "/block-storage/v3"
PLACES = {"shelf": "host-1@shelf#shelf", "loft": "host-1@loft#loft", "far": "host-2@shelf#shelf"}


class Lab:
    """Two hosts, of two back ends each."""

    def __init__(self, folder: Path, url: str) -> None:
        self.state = folder / "state"
        listed = [{"name": "shelf", "driver": "file"}, {"name": "loft", "driver": "file"}]
        services = ("identity", "image", "block_storage")
        self.running = RunningCloud(self.state, services, url, {"block_storage.backends": listed})
        self.people = environment(self.running)
        headers = {"openstack-api-version": "volume 3.70"}
        self.ask = Caller(self.running.settings.control.port, self.people["ADMIN_TOKEN"], headers)
        for name in ("shelf", "loft"):
            specs = {"name": name, "extra_specs": {"volume_backend_name": name}}
            self.ask("POST", f"{ROOT}/types", {"volume_type": specs})

    def make(self, text: str = "moved", **words: Any) -> str:
        """A volume on the shelf of the first host, with some text."""
        made = str(self.ask("POST", f"{ROOT}/volumes", {"volume": {"size": 1, **words}})["volume"]["id"])
        until(lambda: self.volume(made)["status"] == "available")
        if self.volume(made)["os-vol-host-attr:host"] != PLACES["shelf"]:
            self.move(made, "shelf")
        word = f"write -P {ord(text[0])} 1M 64k"
        subprocess.run(
            ["qemu-io", "-f", "qcow2", "-c", word, self.file("shelf", made)], check=True, capture_output=True
        )
        return made

    def volume(self, volume_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"{ROOT}/volumes/{volume_id}")["volume"]
        return found

    def act(self, volume_id: str, name: str, **words: Any) -> tuple[int, Any]:
        return self.ask.ask("POST", f"{ROOT}/volumes/{volume_id}/action", {name: words})

    def move(self, volume_id: str, place: str, **words: Any) -> dict[str, Any]:
        """Have the volume moved, and wait for the end of that."""
        status, said = self.act(volume_id, "os-migrate_volume", host=PLACES[place], **words)
        assert status == 202, said
        return self.at_rest(volume_id)

    def at_rest(self, volume_id: str) -> dict[str, Any]:
        until(lambda: self.volume(volume_id)["migration_status"] in ("success", "error"))
        return self.volume(volume_id)

    def file(self, place: str, volume_id: str) -> Path:
        name = "loft" if place == "loft" else "shelf"
        agent = self.state / ("host-2/agent" if place == "far" else "agent")
        return agent / "block_storage" / "backends" / name / "volumes" / f"{volume_id}.qcow2"

    def places(self, volume_id: str) -> list[str]:
        """Where files of the volume are."""
        return [place for place in PLACES if self.file(place, volume_id).exists()]

    def holds(self, place: str, volume_id: str, text: str = "moved") -> bool:
        word = f"read -P {ord(text[0])} 1M 64k"
        found = subprocess.run(
            ["qemu-io", "-r", "-f", "qcow2", "-c", word, self.file(place, volume_id)], capture_output=True, text=True
        )
        return found.returncode == 0 and "verification failed" not in found.stdout


@pytest.fixture(scope="module")
def lab(engine: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("moves"), pytestconfig.stash[ENGINES].new_url(engine))
    with another_host(made.running, "host-2"):
        until(lambda: len(made.ask("GET", f"{ROOT}/scheduler-stats/get_pools")["pools"]) == 4)
        yield made
    made.running.close()


def test_a_volume_moves_with_all_that_it_holds(lab: Lab) -> None:
    volume = lab.make()
    for place in ("loft", "far", "loft", "shelf", "far", "shelf"):
        found = lab.move(volume, place)
        assert (found["os-vol-host-attr:host"], found["migration_status"]) == (PLACES[place], "success")
        assert (found["status"], lab.places(volume)) == ("available", [place])
        assert lab.holds(place, volume)
    lab.act(volume, "os-extend", new_size=2)
    until(lambda: lab.volume(volume)["size"] == 2)
    lab.ask("DELETE", f"{ROOT}/volumes/{volume}")
    until(lambda: lab.places(volume) == [])


def test_what_stands_in_the_way(lab: Lab) -> None:
    volume = lab.make()
    status, said = lab.act(volume, "os-migrate_volume", host="host-9@shelf")
    assert (status, said["badRequest"]["message"]) == (400, "Invalid host: No available service named 'host-9@shelf'")
    for words in ({"host": PLACES["shelf"]}, {"host": "host-1@shelf"}):
        status, said = lab.act(volume, "os-migrate_volume", **words)
        assert (status, "destination host/cluster must be different" in str(said)) == (400, True)
    for words in ({}, {"host": "host-1@loft", "cluster": "c"}):
        status, said = lab.act(volume, "os-migrate_volume", **words)
        assert (status, "One and only one of cluster and host must be set." in str(said)) == (400, True)
    assert lab.act(volume, "os-migrate_volume", cluster="c")[0] == 400
    snapshot = lab.ask("POST", f"{ROOT}/snapshots", {"snapshot": {"volume_id": volume}})["snapshot"]["id"]
    until(lambda: lab.ask("GET", f"{ROOT}/snapshots/{snapshot}")["snapshot"]["status"] == "available")
    assert lab.act(volume, "os-migrate_volume", host=PLACES["loft"])[0] == 400
    lab.ask("DELETE", f"{ROOT}/volumes/{volume}?cascade=true")
    until(lambda: lab.places(volume) == [])


def test_on_the_move_it_is_left_alone(lab: Lab) -> None:
    volume, other = lab.make(), lab.make()
    lab.act(other, "os-reset_status", migration_status="none")
    lab.act(volume, "os-reset_status", migration_status="migrating")
    for name, words in (
        ("os-migrate_volume", {"host": PLACES["loft"]}), ("os-retype", {"new_type": "loft"}), ("os-unmanage", {}),
        ("os-force_delete", {}), ("os-reserve", {}),
    ):  # fmt: skip
        assert lab.act(volume, name, **words)[0] == 400, name
    assert lab.ask.ask("POST", f"{ROOT}/snapshots", {"snapshot": {"volume_id": volume, "force": True}})[0] == 400
    assert lab.ask.ask("POST", f"{ROOT}/volumes", {"volume": {"source_volid": volume}})[0] == 400
    assert lab.ask.ask("POST", f"{ROOT}/backups", {"backup": {"volume_id": volume}})[0] == 400
    status, said = lab.ask.ask("POST", f"{ROOT}/attachments", {"attachment": {"volume_uuid": volume}})
    assert (status, "is migrating" in str(said)) == (400, True)
    for name, expected in ((other, "Destination volume not"), (volume, "expected target:")):
        status, said = lab.act(volume, "os-migrate_volume_completion", new_volume=name)
        assert (status, expected in str(said)) == (400, True)
    status, said = lab.act(other, "os-migrate_volume_completion", new_volume=volume)
    assert (status, "Source volume not mid-migration." in str(said)) == (400, True)
    lab.act(volume, "os-reset_status", migration_status="none")
    assert lab.act(other, "os-migrate_volume_completion", new_volume=volume) == (200, {"save_volume_id": volume})
    for one in (volume, other):
        assert lab.act(one, "os-force_delete")[0] == 202


def test_exports_of_a_volume_on_the_move_are_not_tidied_up(lab: Lab) -> None:
    volume, cloud = lab.make(), lab.running.control.cloud
    lab.act(volume, "os-reset_status", migration_status="migrating")
    told: list[str] = []
    hosts = SimpleNamespace(call=lambda *_: told.append(""))
    cloud_like: Any = SimpleNamespace(db=cloud.db, vault=cloud.vault, hosts=hosts)
    exports.tidy(cloud_like, "host-1", {volume: [7]})
    assert told == []
    lab.act(volume, "os-reset_status", migration_status="success")
    exports.tidy(cloud_like, "host-1", {volume: [7]})
    assert told == [""]
    lab.act(volume, "os-force_delete")


def test_a_type_is_followed_where_that_is_allowed(lab: Lab) -> None:
    volume = lab.make(volume_type="shelf")
    heard: list[Event] = []
    lab.running.control.cloud.outbox.subscribe("volume.retype", heard.append)
    for words in ({}, {"migration_policy": "never"}):
        assert lab.act(volume, "os-retype", new_type="loft", **words)[0] == 202
        assert lab.volume(volume)["volume_type"] == "shelf"
    told = lab.ask("GET", f"{ROOT}/messages?resource_uuid={volume}")["messages"]
    assert [one["event_id"] for one in told] == ["VOLUME_VOLUME_001_003"] * 2
    assert lab.act(volume, "os-retype", new_type="loft", migration_policy="on-demand")[0] == 202
    found = lab.at_rest(volume)
    assert (found["status"], found["volume_type"], found["migration_status"]) == ("available", "loft", "success")
    assert not lab.file("shelf", volume).exists()
    (told,) = until(lambda: heard)
    assert (told.topic, told.payload["volume_id"], told.payload["status"]) == ("volume.retype", volume, "available")
    status, said = lab.act(volume, "os-retype", new_type="loft")
    assert (status, "requested type has to be different" in str(said)) == (400, True)
    lab.act(volume, "os-force_delete")


def test_a_host_that_is_away_is_left_later(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, hosts = lab.make(), lab.running.control.cloud.hosts
    real, away = hosts.call, [True]

    def call(host: str, verb: str, body: Any = None, **more: Any) -> Any:
        if away[0] and (host, verb) == ("host-1", "volume.delete"):
            raise NotReady("away")
        return real(host, verb, body, **more)

    monkeypatch.setattr(hosts, "call", call)
    found = lab.move(volume, "far", lock_volume=True)
    assert (found["status"], found["migration_status"], lab.places(volume)) == (
        "available",
        "success",
        ["shelf", "far"],
    )
    # It does not come back before what it left is gone.
    status, _ = lab.act(volume, "os-migrate_volume", host=PLACES["shelf"])
    assert status == 202
    until(lambda: lab.volume(volume)["migration_status"] == "migrating")
    away[0] = False
    assert lab.at_rest(volume)["os-vol-host-attr:host"] == PLACES["shelf"]
    assert (lab.places(volume), lab.holds("shelf", volume)) == (["shelf"], True)
    lab.act(volume, "os-force_delete")


def test_a_copy_that_fails_changes_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, hosts = lab.make(), lab.running.control.cloud.hosts
    real = hosts.call

    def call(host: str, verb: str, body: Any = None, **more: Any) -> Any:
        answer = real(host, verb, body, **more)
        if verb == "volume.receive":
            raise ValueError("the disk is on fire")
        return answer

    monkeypatch.setattr(hosts, "call", call)
    found = lab.move(volume, "far", lock_volume=True)
    assert (found["status"], found["migration_status"]) == ("available", "error")
    assert (found["os-vol-host-attr:host"], lab.places(volume)) == (PLACES["shelf"], ["shelf"])
    monkeypatch.undo()
    assert lab.move(volume, "far")["migration_status"] == "success"
    assert lab.holds("far", volume)
    lab.act(volume, "os-force_delete")
    until(lambda: lab.places(volume) == [])
