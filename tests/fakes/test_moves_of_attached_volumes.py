# SPDX-License-Identifier: Apache-2.0
"""Volumes that go to other back ends and hosts while servers have them, through the API: two hosts, real files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel.errors import NotReady
from cumulet.kernel.link.host import Journal
from fakes.hosts import Tenant, another_host
from support.cloud import RunningCloud
from support.engines import ENGINES
from support.waiting import until

VOLUMES, SERVERS = "/block-storage/v3/volumes", "/compute/v2.1/servers"
PLACES = {
    "shelf": "host-1@shelf#shelf",
    "loft": "host-1@loft#loft",
    "far": "host-2@shelf#shelf",
    "attic": "host-2@loft#loft",
}


class Lab:
    """Two hosts of two back ends, of which the lofts hold 3 GiB each, and a server on the first host."""

    def __init__(self, folder: Path, url: str) -> None:
        listed = [
            {"name": "shelf", "driver": "file"},
            {"name": "loft", "driver": "file", "capacity": 3, "max_over_subscription_ratio": 1.0},
        ]
        self.cloud = RunningCloud(folder, (), url, {"block_storage.backends": listed})
        self.folder, self.tenant = folder, Tenant(self.cloud)
        self.ask, self.hosts = self.tenant.admin, self.cloud.control.hosts
        for name in ("shelf", "loft"):
            specs = {"name": name, "extra_specs": {"volume_backend_name": name}}
            self.ask("POST", "/block-storage/v3/types", {"volume_type": specs})

    def make(self, place: str = "shelf", **words: Any) -> str:
        made = str(self.ask("POST", VOLUMES, {"volume": {"size": 1, **words}})["volume"]["id"])
        self.tenant.volume_in(made, "available")
        if "volume_type" not in words and self.volume(made)["os-vol-host-attr:host"] != PLACES[place]:
            assert self.move(made, place)["migration_status"] == "success"
        return made

    def volume(self, volume_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"{VOLUMES}/{volume_id}")["volume"]
        return found

    def act(self, volume_id: str, name: str, **words: Any) -> tuple[int, Any]:
        return self.ask.ask("POST", f"{VOLUMES}/{volume_id}/action", {name: words})

    def move(self, volume_id: str, place: str, **words: Any) -> dict[str, Any]:
        """Have it moved, and wait for the end of that."""
        status, said = self.act(volume_id, "os-migrate_volume", host=PLACES[place], **words)
        assert status == 202, said
        return self.at_rest(volume_id)

    def at_rest(self, volume_id: str) -> dict[str, Any]:
        until(lambda: self.volume(volume_id)["migration_status"] in ("success", "error"))
        return self.volume(volume_id)

    def attach(self, server: str, volume: str) -> None:
        self.ask("POST", f"{SERVERS}/{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume}})
        self.tenant.volume_in(volume, "in-use")

    def detach(self, server: str, volume: str) -> None:
        self.ask("DELETE", f"{SERVERS}/{server}/os-volume_attachments/{volume}")
        self.tenant.volume_in(volume, "available")

    def turn(self, server: str, action: str) -> str:
        self.ask("POST", f"{SERVERS}/{server}/action", {action: None})
        return str(self.tenant.settled(server)["status"])

    def file(self, place: str, volume: str) -> Path:
        host, _, backend = PLACES[place].partition("#")
        agent = self.folder / ("agent" if host.startswith("host-1") else "host-2/agent")
        return agent / "block_storage" / "backends" / backend / "volumes" / f"{volume}.qcow2"

    def places(self, volume: str) -> list[str]:
        return [place for place in PLACES if self.file(place, volume).exists()]

    def exports(self) -> dict[str, list[str]]:
        """The volumes that each host exports."""
        folders = {"host-1": self.folder, "host-2": self.folder / "host-2"}
        return {host: list(Journal(each / "agent" / "journal" / "exports").items()) for host, each in folders.items()}

    def disk(self, server: str, volume: str) -> dict[str, Any]:
        """What the server's host has been told of it."""
        record = Journal(self.folder / "agent" / "journal" / "servers").items()[server]
        (found,) = [each for each in record["spec"]["volumes"] if each["volume_id"] == volume]
        return dict(found)


@pytest.fixture(scope="module")
def lab(engine: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("moves"), pytestconfig.stash[ENGINES].new_url(engine))
    try:
        with another_host(made.cloud, "host-2"):
            until(lambda: len(made.ask("GET", "/block-storage/v3/scheduler-stats/get_pools")["pools"]) == 4)
            yield made
    finally:
        made.cloud.close()


@pytest.fixture(scope="module")
def server(lab: Lab) -> str:
    return str(lab.tenant.server("host-1")["id"])


def test_a_volume_moves_with_its_server_running(lab: Lab, server: str) -> None:
    volume = lab.make()
    lab.attach(server, volume)
    before = lab.volume(volume)["attachments"]
    for place, exports in (("loft", []), ("far", [volume]), ("shelf", []), ("attic", [volume])):
        found = lab.move(volume, place, lock_volume=True)
        assert (found["os-vol-host-attr:host"], found["migration_status"]) == (PLACES[place], "success")
        assert (found["status"], found["attachments"], lab.places(volume)) == ("in-use", before, [place])
        assert lab.exports() == {"host-1": [], "host-2": exports}
        assert bool(lab.disk(server, volume).get("remote")) == bool(exports)
    noted = lab.ask("GET", f"{SERVERS}/{server}/os-instance-actions")["instanceActions"]
    assert [each["action"] for each in noted].count("swap_volume") == 4
    assert lab.act(volume, "os-extend", new_size=2)[0] == 202
    until(lambda: lab.volume(volume)["size"] == 2)
    lab.tenant.volume_in(volume, "in-use")
    for action in ("os-stop", "os-start"):
        lab.turn(server, action)
    lab.detach(server, volume)
    assert lab.exports() == {"host-1": [], "host-2": []}
    lab.ask("DELETE", f"{VOLUMES}/{volume}")
    until(lambda: lab.places(volume) == [])


def test_a_volume_of_a_server_that_is_off_is_copied_closed(lab: Lab, server: str) -> None:
    volume = lab.make()
    lab.attach(server, volume)
    assert lab.turn(server, "os-stop") == "SHUTOFF"
    word = ["-f", "qcow2", "-c", "write -P 7 1M 64k", str(lab.file("shelf", volume))]
    subprocess.run(["qemu-io", *word], check=True, capture_output=True)
    for place in ("far", "loft", "attic"):
        assert lab.move(volume, place)["migration_status"] == "success"
        assert (lab.places(volume), lab.volume(volume)["status"]) == ([place], "in-use")
        word = ["-r", "-U", "-f", "qcow2", "-c", "read -P 7 1M 64k", str(lab.file(place, volume))]
        assert b"verification failed" not in subprocess.run(["qemu-io", *word], check=True, capture_output=True).stdout
    assert lab.turn(server, "os-start") == "ACTIVE"
    assert lab.move(volume, "shelf")["migration_status"] == "success"
    lab.detach(server, volume)
    assert lab.exports() == {"host-1": [], "host-2": []}


def test_a_type_is_followed_by_a_volume_in_use(lab: Lab, server: str) -> None:
    volume = lab.make(volume_type="shelf")
    lab.attach(server, volume)
    assert lab.act(volume, "os-retype", new_type="loft")[0] == 202
    assert lab.volume(volume)["volume_type"] == "shelf"
    project = lab.tenant.admin_project
    quota = f"/block-storage/v3/os-quota-sets/{project}"
    lab.ask("PUT", quota, {"quota_set": {"gigabytes_loft": 0}})
    status, said = lab.act(volume, "os-retype", new_type="loft", migration_policy="on-demand")
    assert (status, "gigabytes_loft" in str(said)) == (413, True)
    lab.ask("PUT", quota, {"quota_set": {"gigabytes_loft": -1}})
    assert lab.act(volume, "os-retype", new_type="loft", migration_policy="on-demand")[0] == 202
    found = lab.at_rest(volume)
    assert (found["status"], found["volume_type"], found["migration_status"]) == ("in-use", "loft", "success")
    assert lab.places(volume) in (["loft"], ["attic"])
    lab.detach(server, volume)
    lab.act(volume, "os-force_delete")


def test_room_and_quota_are_taken_when_a_move_begins(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = lab.make(size=2, volume_type="shelf"), lab.make(size=2)
    real, held = lab.hosts.call, [True]

    def call(host: str, verb: str, body: Any = None, **more: Any) -> Any:
        if held[0] and verb == "volume.receive":
            raise NotReady("not now")
        return real(host, verb, body, **more)

    monkeypatch.setattr(lab.hosts, "call", call)
    assert lab.act(first, "os-retype", new_type="loft", migration_policy="on-demand")[0] == 202
    until(lambda: lab.volume(first)["migration_status"] == "migrating")
    assert (lab.volume(first)["status"], lab.volume(first)["volume_type"]) == ("retyping", "shelf")
    used = lab.ask("GET", f"/block-storage/v3/os-quota-sets/{lab.tenant.admin_project}?usage=true")["quota_set"]
    assert (used["gigabytes_loft"]["in_use"], used["volumes_loft"]["in_use"]) == (2, 1)
    taken = lab.cloud.control.cloud.db
    from cumulet.services.block_storage.store import moves

    place = moves.find(taken, first)
    assert place is not None
    other = "loft" if place.host == "host-2" else "attic"
    status, said = lab.act(second, "os-migrate_volume", host=f"{place.host}@loft")
    assert status == 202, said
    assert lab.at_rest(second)["migration_status"] == "error"
    assert (lab.places(second), lab.volume(second)["status"]) == (["shelf"], "available")
    assert lab.act(first, "os-retype", new_type="loft", migration_policy="on-demand")[0] == 400
    held[0] = False
    assert lab.at_rest(first)["volume_type"] == "loft"
    assert lab.move(second, other)["migration_status"] == "success"
    for volume in (first, second):
        lab.act(volume, "os-force_delete")


def test_what_stands_in_the_way_of_one_in_use(lab: Lab, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, real, held = lab.make(), lab.hosts.call, [True]
    lab.attach(server, volume)

    def call(host: str, verb: str, body: Any = None, **more: Any) -> Any:
        if held[0] and verb == "server.move_volume":
            raise NotReady("not now")
        return real(host, verb, body, **more)

    monkeypatch.setattr(lab.hosts, "call", call)
    status, _ = lab.act(volume, "os-migrate_volume", host=PLACES["far"])
    assert status == 202
    for name, words in (
        ("os-migrate_volume", {"host": PLACES["loft"]}), ("os-retype", {"new_type": "loft"}),
        ("os-extend", {"new_size": 2}), ("os-unmanage", {}),
    ):  # fmt: skip
        assert lab.act(volume, name, **words)[0] == 400, name
    snapshot = {"snapshot": {"volume_id": volume, "force": True}}
    assert lab.ask.ask("POST", "/block-storage/v3/snapshots", snapshot)[0] == 400
    assert lab.ask.ask("POST", VOLUMES, {"volume": {"source_volid": volume}})[0] == 400
    held[0] = False
    assert lab.at_rest(volume)["migration_status"] == "success"
    made = lab.ask("POST", "/block-storage/v3/snapshots", snapshot)["snapshot"]["id"]
    until(lambda: lab.ask("GET", f"/block-storage/v3/snapshots/{made}")["snapshot"]["status"] == "available")
    assert lab.act(volume, "os-migrate_volume", host=PLACES["loft"])[0] == 400
    lab.ask("DELETE", f"/block-storage/v3/snapshots/{made}")
    lab.detach(server, volume)
    lab.act(volume, "os-force_delete")


@pytest.mark.parametrize("state", ["running", "off"])
def test_a_move_that_fails_leaves_all_as_it_was(
    lab: Lab, server: str, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    volume = lab.make("far")
    lab.attach(server, volume)
    if state == "off":
        lab.turn(server, "os-stop")
    real = lab.hosts.call

    def call(host: str, verb: str, body: Any = None, **more: Any) -> Any:
        if verb in ("server.move_volume", "volume.receive"):
            raise ValueError("the disk is on fire")
        return real(host, verb, body, **more)

    monkeypatch.setattr(lab.hosts, "call", call)
    found = lab.move(volume, "loft")
    assert (found["status"], found["migration_status"]) == ("in-use", "error")
    assert (found["os-vol-host-attr:host"], lab.places(volume)) == (PLACES["far"], ["far"])
    assert lab.exports() == {"host-1": [], "host-2": [volume]}
    monkeypatch.undo()
    if state == "off":
        assert lab.turn(server, "os-start") == "ACTIVE"
    assert lab.move(volume, "attic")["migration_status"] == "error", "one host exports a volume once"
    assert lab.exports() == {"host-1": [], "host-2": [volume]}
    lab.turn(server, "os-stop")
    assert lab.move(volume, "attic")["migration_status"] == "success"
    assert lab.turn(server, "os-start") == "ACTIVE"
    lab.detach(server, volume)
    lab.act(volume, "os-force_delete")


def test_what_a_host_has_done_stays_so_though_its_answer_is_lost(
    lab: Lab, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is anything taken away while the host cannot say what its server has."""
    volume = lab.make()
    lab.attach(server, volume)
    real, away = lab.hosts.call, [3]

    def call(host: str, verb: str, body: Any = None, **more: Any) -> Any:
        if verb == "server.settle_volume" and body["generation"] == lab.disk(server, volume)["generation"] and away[0]:
            away[0] -= 1
            raise NotReady("away")
        answer = real(host, verb, body, **more)
        if verb == "server.move_volume":
            raise ValueError("the answer is lost")
        return answer

    monkeypatch.setattr(lab.hosts, "call", call)
    assert lab.move(volume, "far")["migration_status"] == "success"
    assert (lab.places(volume), lab.exports(), away) == (["far"], {"host-1": [], "host-2": [volume]}, [0])
    monkeypatch.undo()
    lab.detach(server, volume)
    lab.act(volume, "os-force_delete")


def test_a_server_that_goes_takes_no_disk_with_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is deleted before its host was reached: nothing is left at the target."""
    going, volume = str(lab.tenant.server("host-1")["id"]), lab.make()
    lab.attach(going, volume)
    real = lab.hosts.call

    def call(host: str, verb: str, body: Any = None, **more: Any) -> Any:
        if verb == "server.move_volume":
            raise NotReady("not now")
        return real(host, verb, body, **more)

    monkeypatch.setattr(lab.hosts, "call", call)
    assert lab.act(volume, "os-migrate_volume", host=PLACES["far"])[0] == 202
    until(lambda: lab.places(volume) == ["shelf", "far"])
    lab.tenant.gone(going)
    assert lab.at_rest(volume)["migration_status"] == "error"
    assert (lab.tenant.volume_in(volume, "available")["attachments"], lab.places(volume)) == ([], ["shelf"])
    lab.act(volume, "os-force_delete")
