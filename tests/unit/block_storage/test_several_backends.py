# SPDX-License-Identifier: Apache-2.0
"""One agent serves several back ends: each has its volumes, their snapshots and clones, and nobody mixes them up."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cumulet.kernel import clock, plugins
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.db import Database, Tx, migrate, sql
from cumulet.kernel.errors import NotFound, NotReady
from cumulet.kernel.link.host import Host
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage import agent
from cumulet.services.block_storage.agent.backends import Backends, Kept
from cumulet.services.block_storage.agent.backup import FOLDER, VolumesKeeper
from cumulet.services.block_storage.drivers import kinds
from cumulet.services.block_storage.drivers.base import nobody
from cumulet.services.block_storage.drivers.fake import FakeBackend
from cumulet.services.block_storage.drivers.file import FileBackend
from cumulet.services.block_storage.logic import backends as logic
from cumulet.services.block_storage.store import backends as store
from cumulet.services.block_storage.store import volumes
from cumulet.services.block_storage.types import GIB
from cumulet.settings import SettingsError, load
from cumulet.settings.block_storage import BlockStorage, FakeVolumeBackend, FileVolumeBackend, VolumeBackend
from support.caller import Caller
from support.cloud import RunningCloud
from support.engines import ENGINES
from support.people import environment
from support.waiting import until

ROOT = "/block-storage/v3"
ONCE = {"max_over_subscription_ratio": 1}
OLD_REPORT = {"stats": {"total": 0, "free": 0, "provisioned": 0, "allocated": 0}, "capabilities": {"name": "file"}}


class Lab:
    """A host with a fake back end, one in its state directory, and one somewhere else."""

    def __init__(self, folder: Path, url: str) -> None:
        self.state, self.cellar = folder / "state", folder / "cellar"
        listed = [
            {"name": "fake", "driver": "fake"},
            {"name": "shelf", "driver": "file", "capacity": 7, "availability_zone": "attic"} | ONCE,
            {"name": "cellar", "driver": "file", "folder": str(self.cellar), "qos": {"total_iops_sec": 500}},
        ]
        services = ("identity", "image", "block_storage")
        self.running = RunningCloud(self.state, services, url, {"block_storage.backends": listed})
        headers = {"openstack-api-version": "volume 3.70"}
        self.ask = Caller(self.running.settings.control.port, environment(self.running)["ADMIN_TOKEN"], headers)
        for name in ("shelf", "cellar"):
            specs = {"name": name, "extra_specs": {"volume_backend_name": name}}
            self.ask("POST", f"{ROOT}/types", {"volume_type": specs})

    def make(self, hints: dict[str, Any] | None = None, **words: Any) -> str:
        made = self.begin(hints, **words)
        until(lambda: self.volume(made)["status"] == "available")
        return made

    def begin(self, hints: dict[str, Any] | None = None, **words: Any) -> str:
        body = {"volume": {"size": 1, **words}, "OS-SCH-HNT:scheduler_hints": hints}
        return str(self.ask("POST", f"{ROOT}/volumes", body)["volume"]["id"])

    def settled(self, volume_id: str) -> str:
        """How the making of it ends."""
        path = f"{ROOT}/volumes/{volume_id}"
        ended = ("available", "error")
        return str(until(lambda: (s := self.ask("GET", path)["volume"]["status"]) in ended and s))

    def place(self, volume_id: str) -> str:
        return str(self.volume(volume_id)["os-vol-host-attr:host"]).partition("#")[0].partition("@")[2]

    def volume(self, volume_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"{ROOT}/volumes/{volume_id}")["volume"]
        assert not found["status"].startswith("error"), found
        return found

    def at(self, place: str) -> set[str]:
        return {each["id"] for each in self.ask("GET", f"{ROOT}/volumes?host={place}".replace("#", "%23"))["volumes"]}

    def gone(self, kind: str, one: str) -> None:
        self.ask("DELETE", f"{ROOT}/{kind}/{one}")
        until(lambda: self.ask.ask("GET", f"{ROOT}/{kind}/{one}")[0] == 404)


@pytest.fixture(scope="module")
def lab(engine: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("several"), pytestconfig.stash[ENGINES].new_url(engine))
    yield made
    made.running.close()


def test_the_api_shows_each(lab: Lab) -> None:
    pools = lab.ask("GET", f"{ROOT}/scheduler-stats/get_pools?detail=true")["pools"]
    names = [f"host-1@{name}#{name}" for name in ("cellar", "fake", "shelf")]
    assert [pool["name"] for pool in pools] == names
    shelf = pools[2]["capabilities"]
    assert (shelf["volume_backend_name"], shelf["total_capacity_gb"]) == ("shelf", 7.0)
    services = lab.ask("GET", f"{ROOT}/os-services?binary=cinder-volume")["services"]
    places = {each["host"]: each["zone"] for each in services}
    assert places == {"host-1@cellar": "nova", "host-1@fake": "nova", "host-1@shelf": "attic"}
    assert lab.ask("GET", f"{ROOT}/capabilities/host-1@shelf")["volume_backend_name"] == "shelf"
    assert lab.ask("GET", f"{ROOT}/os-hosts/host-1@shelf")["host"][0]["resource"]["host"] == "host-1@shelf"
    kept = logic.get(lab.running.control.cloud.db, "host-1@cellar")
    assert kept.report["settings"]["qos"] == {"total_iops_sec": 500}
    assert "folder" not in kept.report["settings"]


@pytest.mark.parametrize("name", ["shelf", "cellar"])
def test_a_volume_lives_where_its_type_says(lab: Lab, name: str) -> None:
    files = (lab.cellar if name == "cellar" else lab.state / "agent/block_storage/backends/shelf") / "volumes"
    zone = "attic" if name == "shelf" else "nova"
    first = lab.make(volume_type=name, availability_zone=zone)
    assert lab.volume(first)["availability_zone"] == zone
    assert lab.volume(first)["os-vol-host-attr:host"] == f"host-1@{name}#{name}"
    body = {"snapshot": {"volume_id": first}}
    snapshot = lab.ask("POST", f"{ROOT}/snapshots", body)["snapshot"]["id"]
    until(lambda: lab.ask("GET", f"{ROOT}/snapshots/{snapshot}")["snapshot"]["status"] == "available")
    copies = [lab.make(snapshot_id=snapshot), lab.make(source_volid=first)]
    assert {path.stem for path in files.glob("*.qcow2")} == {first, *copies}
    assert lab.at(f"host-1@{name}") == lab.at(f"host-1@{name}#{name}") == {first, *copies} <= lab.at("host-1")
    assert lab.at("host-1@fake#shelf") == set()
    held = lab.ask("GET", f"{ROOT}/snapshots?host=host-1@{name}")["snapshots"]
    assert [each["id"] for each in held] == [snapshot]
    lab.ask("POST", f"{ROOT}/volumes/{first}/action", {"os-extend": {"new_size": 2}})
    until(lambda: lab.volume(first)["size"] == 2 and lab.volume(first)["status"] == "available")
    lab.gone("snapshots", snapshot)
    for each in (first, *copies):
        lab.gone("volumes", each)
    assert not list(files.glob("*"))


def test_a_disabled_one_takes_nothing(lab: Lab) -> None:
    body = {"host": "host-1@shelf", "binary": "cinder-volume"}
    lab.ask("PUT", f"{ROOT}/os-services/disable", body)
    disabled = {
        each["host"] for each in lab.ask("GET", f"{ROOT}/os-services")["services"] if each["status"] != "enabled"
    }
    assert disabled == {"host-1@shelf"}
    lab.ask("PUT", f"{ROOT}/os-services/enable", body)


def test_hints_and_capacity_choose_the_place(lab: Lab) -> None:
    near = lab.make(volume_type="cellar")
    first = lab.make()
    assert lab.place(first) == "fake", "which has the most room"
    beside = lab.make({"same_host": near})
    apart = lab.make({"different_host": [first]})
    assert (lab.place(beside), lab.place(apart)) == ("cellar", "cellar")
    lost = [lab.begin({"same_host": str(uuid.uuid4())}), lab.begin({"local_to_instance": str(uuid.uuid4())})]
    assert [lab.settled(each) for each in lost] == ["error", "error"]
    for each in (near, first, beside, apart, *lost):
        lab.gone("volumes", each)


def test_what_is_asked_for_at_once_never_takes_more_than_there_is(lab: Lab) -> None:
    words = {"volume_type": "shelf", "availability_zone": "attic"}
    made = [lab.begin(**words) for _ in range(9)]
    assert sorted(lab.settled(each) for each in made) == ["available"] * 7 + ["error"] * 2
    for each in made:
        lab.gone("volumes", each)


def test_a_volume_grows_no_larger_than_its_back_end_takes(lab: Lab) -> None:
    made = lab.make(volume_type="shelf", availability_zone="attic", size=2)
    lab.ask("POST", f"{ROOT}/volumes/{made}/action", {"os-extend": {"new_size": 8}})
    found = until(lambda: lab.volume(made)["status"] == "available" and lab.volume(made))
    assert found["size"] == 2
    told = lab.ask("GET", f"{ROOT}/messages?resource_uuid={made}")["messages"]
    assert [each["user_message"] for each in told] == ["extend volume:Could not find any available weighted backend."]
    lab.ask("POST", f"{ROOT}/volumes/{made}/action", {"os-extend": {"new_size": 7}})
    until(lambda: lab.volume(made)["status"] == "available" and lab.volume(made)["size"] == 7)
    lab.gone("volumes", made)


def test_another_one_is_tried_where_the_first_fails(lab: Lab) -> None:
    faults = lab.state / "faults.toml"
    faults.write_text('[[fault]]\nplace = "block_storage.fake.create_blank"\nkind = "fail"\nerror = "Conflict"\n')
    try:
        made = lab.make()
        assert lab.place(made) == "cellar"
    finally:
        faults.unlink()
    lab.gone("volumes", made)


def test_types_say_in_which_zones_their_volumes_are(lab: Lab) -> None:
    specs = {"name": "zoned", "extra_specs": {"RESKEY:availability_zones": "attic,moon"}}
    lab.ask("POST", f"{ROOT}/types", {"volume_type": specs})
    made = lab.make(volume_type="zoned")
    assert (lab.place(made), lab.volume(made)["availability_zone"]) == ("shelf", "attic")
    body = {"volume": {"size": 1, "volume_type": "zoned", "availability_zone": "nova"}}
    status, answer = lab.ask.ask("POST", f"{ROOT}/volumes", body)
    assert (status, answer["badRequest"]["message"]) == (400, "Availability zone 'nova' is invalid.")
    zones = lab.ask("GET", f"{ROOT}/os-availability-zone")["availabilityZoneInfo"]
    assert zones == [{"zoneName": name, "zoneState": {"available": True}} for name in ("nova", "attic")]
    lab.gone("volumes", made)


def test_one_that_the_settings_drop_stays_while_it_has_volumes(lab: Lab) -> None:
    cloud = lab.running.control.cloud
    one = {**OLD_REPORT, "settings": {}, "volumes": [], "snapshots": []}
    logic.heard(cloud, "host-9", {"backends": [{"name": "a", **one}, {"name": "b", **one}]}, joined=True)
    logic.heard(cloud, "host-9", {"backends": [{"name": "b", **one}]})
    assert [each.full_name for each in store.on_host(cloud.db, "host-9")] == ["host-9@b"]
    cloud.db.write(lambda tx: store.remove(tx, "host-9", "b"))


def test_a_host_of_the_release_before(lab: Lab) -> None:
    cloud: Cloud = lab.running.control.cloud
    now = clock.utcnow()
    unnamed = logic.Backend("host-8", "nova", True, "repair", OLD_REPORT, now, now)
    cloud.db.write(lambda tx: store.add(tx, unnamed))
    logic.heard(cloud, "host-8", OLD_REPORT, joined=True)
    [found] = store.on_host(cloud.db, "host-8")
    assert (found.name, found.disabled, found.disabled_reason) == ("file", True, "repair")
    cloud.db.write(lambda tx: store.remove(tx, "host-8", "file"))


def test_rows_of_one_back_end_a_host_get_its_name(empty: Database, tmp_path: Path) -> None:
    scripts = Path(logic.__file__).parents[1] / "migrations"
    for path in scripts.glob("000?_*.sql"):
        shutil.copy(path, tmp_path)
    migrate.migrate(empty, {"block_storage": tmp_path})
    volume = (
        "INSERT INTO block_storage_volume (id, project_id, user_id, size, status, bootable, volume_type_id, "
        "availability_zone, host, metadata, generation, created_at) "
        "VALUES (:id, 'p', 'u', 1, 'available', false, 't', 'nova', :host, '{}', 0, '2026-01-01')"
    )
    backend = (
        "INSERT INTO block_storage_backend (host, availability_zone, disabled, report, created_at, heard_at) "
        "VALUES (:id, 'nova', true, :report, '2026-01-01', '2026-01-01')"
    )

    def fill(tx: Tx) -> None:
        for host in ("fake", "file"):
            report = f'{{"capabilities":{{"name":"{host}","storage_protocol":"{host}"}}}}'
            sql.execute(tx, text(backend), {"id": f"{host}-host", "report": report})
            sql.execute(tx, text(volume), {"id": host, "host": f"{host}-host"})
        sql.execute(tx, text(volume), {"id": "nowhere", "host": ""})

    empty.write(fill)
    migrate.migrate(empty, {"block_storage": scripts})
    found = {each.id: each.backend for each in volumes.every(empty)}
    assert found == {"fake": "fake", "file": "file", "nowhere": ""}
    kept = [(each.full_name, each.disabled, each.frozen) for each in store.find_all(empty)]
    assert kept == [("fake-host@fake", True, False), ("file-host@file", True, False)]


def test_orders_mean_the_first_one_or_the_one_they_name(tmp_path: Path) -> None:
    first, second = FakeBackend(tmp_path / "1"), FakeBackend(tmp_path / "2")
    kept = Backends([Kept(FakeVolumeBackend(name="a"), first), Kept(FakeVolumeBackend(name="b", capacity=3), second)])
    assert kept.of({}) is kept.get("a") is first
    assert kept.of({"backend": "b"}) is second
    with pytest.raises(NotReady, match="no back end c"):
        kept.of({"backend": "c"})
    second.create_blank("v", 2 * GIB)
    assert kept.source("v") == second.source("v")
    assert [each.stats().free for each in kept] == [1000 * GIB, 1 * GIB]
    with pytest.raises(NotFound):
        kept.source("w")
    first.create_blank("v", GIB)
    with pytest.raises(NotReady, match="is on a and on b"):
        kept.source("v")
    assert kept.source("v", "b") == second.source("v")


def test_a_backup_has_the_files_of_all(tmp_path: Path) -> None:
    agent, elsewhere = tmp_path / "agent", tmp_path / "elsewhere"
    shelf, cellar = FileBackend(agent / "block_storage/backends/shelf"), FileBackend(elsewhere)
    kept = Backends(
        [
            Kept(FileVolumeBackend(name="shelf"), shelf, "backends/shelf"),
            Kept(FileVolumeBackend(name="cellar"), cellar, "restored/cellar"),
        ]
    )
    shelf.create_blank("v1", 1 << 20)
    cellar.create_blank("v2", 1 << 20)
    cellar.snapshot("s2", "v2")
    keeper = VolumesKeeper(kept, lambda _held, _volume_id: nobody)
    pieces = keeper.pin(tmp_path / "pins")
    assert sorted(pieces) == [
        "backends/shelf/volumes/v1.qcow2",
        "restored/cellar/snapshots/s2.qcow2",
        "restored/cellar/volumes/v2.qcow2",
    ]
    cellar.delete_snapshot("s2")
    for piece in pieces:
        keeper.copy(piece, tmp_path / "pins", tmp_path / "backup")
    folder = tmp_path / "backup" / FOLDER / "restored/cellar"
    other = FileBackend(tmp_path / "new")
    other.create_blank("v2", 2 << 20)
    assert other.bring_back(folder) == ["s2.qcow2"]
    assert (other.snapshots(), other.size("v2")) == (["s2"], 2 << 20)
    assert [path.name for path in folder.rglob("*.qcow2")] == ["v2.qcow2"], "what is there is not taken"


def test_settings_of_back_ends(tmp_path: Path) -> None:
    assert [each.name for each in BlockStorage().own_backends] == ["file"]
    assert [each.name for each in BlockStorage(driver="fake").own_backends] == ["fake"]
    for listed, words in (
        ([{"name": "a", "driver": "fake"}, {"name": "a", "driver": "file"}], "two back ends are called a"),
        ([{"name": "a b", "driver": "fake"}], "matching regex"),
        ([{"name": "a", "driver": "tape"}], "tape"),
        ([{"name": "a", "driver": "fake", "qos": {"colour": 1}}], "colour"),
    ):
        with pytest.raises(SettingsError, match=words):
            load(environ={}, overrides={"state": str(tmp_path), "block_storage.backends": listed})


class Shelf(VolumeBackend, frozen=True, kw_only=True, tag="shelf"):
    """Settings of a kind that another package brings."""

    planks: int = 3


def test_other_packages_bring_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[kinds.Place] = []

    def make(place: kinds.Place) -> kinds.Made:
        made.append(place)
        return kinds.Made(FakeBackend(place.folder))

    offered = {(kinds.GROUP, "shelf"): kinds.BackendKind(Shelf, make)}
    monkeypatch.setattr(plugins, "load", lambda group, name: offered[group, name])
    listed = [{"name": "attic", "driver": "shelf", "planks": "5", "capacity": 3}]
    settings = load(environ={}, overrides={"state": str(tmp_path), "block_storage.backends": listed})
    (said,) = settings.block_storage.own_backends
    assert (said, said.driver) == (Shelf(name="attic", planks=5, capacity=3.0), "shelf")
    host = Host(
        name="h", state=tmp_path, run_dir=tmp_path, settings=settings, loop=Loop(), contracts=Contracts(),
        emit=lambda _name, _body: None, call=lambda _verb, _body: None,
    )  # fmt: skip
    service = agent.create(host)
    service.verbs["volume.create"]({"id": "v1", "size": 1 << 20})
    (one,) = service.report()["backends"]
    assert (one["name"], one["volumes"]) == ("attic", ["v1"])
    assert [place.folder for place in made] == [tmp_path / "block_storage/backends/attic"]
    with pytest.raises(NotReady, match="no back end attic with nbd"):
        service.verbs["volume.export"]({"id": "v1", "generation": 1, "client": "other"})
    host.loop.close()


def test_settings_of_kinds_that_nobody_brings(tmp_path: Path) -> None:
    for listed, words in (
        ([{"name": "a", "driver": "tape"}], "there is no driver tape"),
        (["a"], "table with a name and a driver"),
        ([{"name": "a", "driver": "file", "folder": 3}], "back end a: .*path"),
    ):
        with pytest.raises(SettingsError, match=words):
            load(environ={}, overrides={"state": str(tmp_path), "block_storage.backends": listed})
