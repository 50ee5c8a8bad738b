# SPDX-License-Identifier: Apache-2.0
"""Volumes of storages that hosts share, through the API: a cluster by a driver of another package, and a folder."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel import audit, plugins
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.link.host import Journal
from cumulet.services.block_storage import loops
from cumulet.services.block_storage.contract import FileDisk, NetworkDisk
from cumulet.services.block_storage.drivers import kinds
from cumulet.services.block_storage.drivers.shared import MARK
from cumulet.services.block_storage.logic import backends, exports, sharing
from cumulet.services.block_storage.store import attachments
from cumulet.services.block_storage.store import backends as backend_store
from cumulet.services.block_storage.store import volumes as store
from fakes.hosts import Tenant, another_host
from support import storage_cluster
from support.caller import Caller
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

CINDER, NOVA = "/block-storage/v3", "/compute/v2.1"
RACK, ATTIC = "cluster:rack@quick#quick", "shared:attic@slow#slow"


class Lab:
    """Two hosts that share a cluster and a folder."""

    def __init__(self, cloud: RunningCloud, agents: dict[str, Any], rack: Path, attic: Path) -> None:
        self.cloud, self.agents, self.cluster, self.attic = cloud, agents, rack, attic
        self.tenant = Tenant(cloud)
        self.ask = self.tenant.admin
        token, port = environment(cloud)["ADMIN_TOKEN"], cloud.settings.control.port
        self.newest = Caller(port, token, {"openstack-api-version": "compute 2.91"})
        self.db = cloud.control.cloud.db
        self.folders = {"host-1": cloud.settings.state, "host-2": cloud.settings.state / "host-2"}
        self.kinds = dict[str, str]()
        for name in ("quick", "slow"):
            self.kind(name, volume_backend_name=name)
        self.kind("several", multiattach="<is> True")

    def kind(self, name: str, **specs: str) -> None:
        made = self.ask("POST", f"{CINDER}/types", {"volume_type": {"name": name, "extra_specs": specs}})
        self.kinds[name] = made["volume_type"]["id"]

    def make(self, kind: str, **words: Any) -> str:
        body = {"volume": {"size": 1, "volume_type": kind, "name": secrets.token_hex(4), **words}}
        made = str(self.ask("POST", f"{CINDER}/volumes", body)["volume"]["id"])
        self.tenant.volume_in(made, "available")
        return made

    def volume(self, volume_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"{CINDER}/volumes/{volume_id}")["volume"]
        return found

    def act(self, volume_id: str, **words: Any) -> None:
        self.ask("POST", f"{CINDER}/volumes/{volume_id}/action", words)

    def attach(self, server: str, volume: str) -> None:
        body = {"volumeAttachment": {"volumeId": volume}}
        self.ask("POST", f"{NOVA}/servers/{server}/os-volume_attachments", body)
        self.tenant.volume_in(volume, "in-use")
        until(lambda: self.connected(server, volume))

    def connected(self, server: str, volume: str) -> bool:
        claims = attachments.of_volumes(self.db, [volume])
        return any((claim.server_id, claim.status) == (server, "attached") for claim in claims)

    def detach(self, server: str, volume: str) -> None:
        self.ask("DELETE", f"{NOVA}/servers/{server}/os-volume_attachments/{volume}")
        until(lambda: not self.connected(server, volume))

    def snapshot(self, volume: str) -> str:
        body = {"snapshot": {"volume_id": volume, "force": True}}
        made = str(self.ask("POST", f"{CINDER}/snapshots", body)["snapshot"]["id"])
        path = f"{CINDER}/snapshots/{made}"
        until(lambda: self.ask("GET", path)["snapshot"]["status"] == "available")
        return made

    def gone(self, kind: str, one: str) -> None:
        self.ask("DELETE", f"{CINDER}/{kind}/{one}")
        until(lambda: self.ask.ask("GET", f"{CINDER}/{kind}/{one}")[0] == 404)

    def opened(self, host: str, volume: str) -> Any:
        """What the host's hypervisor is given."""
        return self.agents[host]._parts["block_storage"].disks.open(volume)

    def exported(self) -> list[str]:
        """What either host exports."""
        return [key for each in self.folders.values() for key in Journal(each / "agent/journal/exports").items()]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    attic = tmp_path_factory.mktemp("attic")
    (attic / MARK).touch()
    offered = {(kinds.GROUP, "cluster"): storage_cluster.KIND}
    with pytest.MonkeyPatch.context() as patch, storage_cluster.storage_cluster() as rack:
        patch.setattr(plugins, "load", lambda group, name: offered[group, name])
        listed = [
            {"name": "quick", "driver": "cluster", "cluster": "rack", "folder": str(rack)},
            {"name": "slow", "driver": "shared", "cluster": "attic", "folder": str(attic)},
        ]
        folder = Path(tmp_path_factory.mktemp("shared"))
        cloud = RunningCloud(folder, settings={"block_storage.backends": listed})  # type: ignore[dict-item]
        try:
            with another_host(cloud, "host-2") as second:
                yield Lab(cloud, {"host-1": cloud.agent, "host-2": second}, rack, attic)
        finally:
            cloud.close()


def test_a_shared_back_end_is_one_place(lab: Lab) -> None:
    pools = [each["name"] for each in lab.ask("GET", f"{CINDER}/scheduler-stats/get_pools")["pools"]]
    assert pools == [RACK, ATTIC]
    services = lab.ask("GET", f"{CINDER}/os-services")["services"]
    makers = [each["host"] for each in services if each["binary"] == "cinder-volume"]
    assert makers == ["cluster:rack@quick", "shared:attic@slow"]
    assert [each["host"] for each in services if each["binary"] == "cinder-backup"] == ["host-1", "host-2"]
    assert {each["state"] for each in services} == {"up"}
    found = backends.get(lab.db, "cluster:rack@quick")
    assert (found.hosts, found.keeper, found.report["term"]) == (["host-1", "host-2"], "host-1", found.report["term"])


@pytest.mark.parametrize(("kind", "place"), [("quick", RACK), ("slow", ATTIC)], ids=["cluster", "folder"])
def test_every_host_opens_a_volume_by_itself(lab: Lab, kind: str, place: str) -> None:
    volume = lab.make(kind)
    assert lab.volume(volume)["os-vol-host-attr:host"] == place
    for host in ("host-1", "host-2"):
        server = lab.tenant.server(host)["id"]
        lab.attach(server, volume)
        assert isinstance(lab.opened(host, volume), NetworkDisk if kind == "quick" else FileDisk)
        assert lab.exported() == []
        lab.gone("snapshots", lab.snapshot(volume))
        lab.tenant.gone(server)
        lab.tenant.volume_in(volume, "available")
    lab.gone("volumes", volume)


def test_a_server_goes_to_another_host_without_its_volume(lab: Lab) -> None:
    volume = lab.make("quick")
    lab.act(volume, **{"os-set_bootable": {"bootable": True}})
    disk = {"source_type": "volume", "destination_type": "volume", "uuid": volume, "boot_index": 0}
    server = lab.tenant.server("host-1", block_device_mapping_v2=[disk])["id"]
    files = sorted(path.name for path in (lab.cluster / "volumes").iterdir())
    lab.ask("POST", f"{NOVA}/servers/{server}/action", {"shelve": None})
    until(lambda: lab.ask("GET", f"{NOVA}/servers/{server}")["server"]["status"] == "SHELVED_OFFLOADED")
    lab.newest("POST", f"{NOVA}/servers/{server}/action", {"unshelve": {"host": "host-2"}})
    until(lambda: lab.ask("GET", f"{NOVA}/servers/{server}")["server"]["status"] == "ACTIVE")
    assert lab.tenant.settled(server)["OS-EXT-SRV-ATTR:host"] == "host-2"
    assert lab.volume(volume)["os-vol-host-attr:host"] == RACK
    assert (lab.exported(), sorted(path.name for path in (lab.cluster / "volumes").iterdir())) == ([], files)
    lab.tenant.gone(server)
    lab.gone("volumes", volume)


def test_servers_of_several_hosts_write_to_one_volume(lab: Lab) -> None:
    volume = lab.make("several")
    assert lab.volume(volume)["os-vol-host-attr:host"] == RACK, "the folder takes one writer"
    servers = [lab.tenant.server(host)["id"] for host in ("host-1", "host-2")]
    for server in servers:
        lab.attach(server, volume)
    assert lab.exported() == []
    lab.act(volume, **{"os-extend": {"new_size": 2}})
    until(lambda: lab.volume(volume)["size"] == 2 and lab.volume(volume)["status"] == "in-use")
    lab.gone("snapshots", lab.snapshot(volume))
    for server in servers:
        lab.tenant.gone(server)
    lab.tenant.volume_in(volume, "available")
    lab.gone("volumes", volume)


def test_orders_go_to_the_host_that_has_the_volume_open(lab: Lab) -> None:
    cloud, volumes = lab.cloud.control.cloud, [lab.make("slow"), lab.make("slow")]
    servers = [lab.tenant.server(host)["id"] for host in ("host-1", "host-2")]
    attic = backends.get(lab.db, "shared:attic@slow")
    for server, volume in zip(servers, volumes, strict=True):
        lab.attach(server, volume)
    assert [sharing.worker(lab.db, attic, [volume]) for volume in volumes] == ["host-1", "host-2"]
    with pytest.raises(Conflict, match="Several hosts"):
        sharing.worker(lab.db, attic, volumes)
    (claim,) = attachments.of_volumes(lab.db, volumes[:1])
    with pytest.raises(Conflict, match="does not reach"):
        exports.connect(cloud, claim.id, "host-9")
    for server, volume in zip(servers, volumes, strict=True):
        lab.tenant.gone(server)
        lab.tenant.volume_in(volume, "available")
        lab.gone("volumes", volume)


def test_volumes_come_of_one_another_move_and_are_backed_up(lab: Lab) -> None:
    source = lab.make("quick")
    snapshot = lab.snapshot(source)
    copies = [lab.make("quick", snapshot_id=snapshot), lab.make("quick", source_volid=source)]
    lab.gone("snapshots", snapshot)
    anywhere = lab.make("__DEFAULT__")
    here = lab.volume(anywhere)["os-vol-host-attr:host"]
    for place in (({RACK, ATTIC} - {here}).pop(), here):
        lab.act(anywhere, **{"os-migrate_volume": {"host": place}})
        until(lambda: lab.volume(anywhere)["migration_status"] in ("success", "error"))
        assert lab.volume(anywhere)["os-vol-host-attr:host"] == place
    made = lab.ask("POST", f"{CINDER}/backups", {"backup": {"volume_id": source}})["backup"]["id"]
    until(lambda: lab.ask("GET", f"{CINDER}/backups/{made}")["backup"]["status"] == "available")
    body = {"restore": {"volume_id": copies[1]}}
    lab.ask("POST", f"{CINDER}/backups/{made}/restore", body)
    until(lambda: lab.ask("GET", f"{CINDER}/backups/{made}")["backup"]["status"] == "available")
    lab.tenant.volume_in(copies[1], "available")
    lab.gone("backups", made)
    assert audit.stays(lab.cloud.control.cloud, 20.0) == []
    for volume in (source, anywhere, *copies):
        lab.gone("volumes", volume)


def test_another_host_takes_over_and_the_old_one_is_not_heeded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, hosts = lab.cloud.control.cloud, lab.cloud.control.hosts
    before = backends.get(lab.db, "shared:attic@slow")
    report = hosts.call("host-2", "volume.report", {})
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "SILENCE", timedelta(0))
        backends.heard(cloud, "host-2", report)
    after = backends.get(lab.db, "shared:attic@slow")
    assert (after.keeper, after.report["term"]) == ("host-2", after.report["term"])
    assert after.report["term"] > before.report["term"]
    volume = lab.make("slow")
    late = {"id": volume, "backend": "slow", "term": before.report["term"]}
    with pytest.raises(Conflict, match="Another host keeps"):
        hosts.call("host-1", "volume.delete", late)
    assert lab.volume(volume)["status"] == "available"
    assert lab.opened("host-2", volume).path.exists()
    backends.heard(cloud, "host-1", hosts.call("host-1", "volume.report", {}))
    assert backends.get(lab.db, "shared:attic@slow").keeper == "host-2", "it stays until it is silent"
    lab.gone("volumes", volume)


def test_a_storage_of_which_nobody_tells_is_forgotten_when_it_is_empty(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = lab.make("slow")
    said = {"place": "shared:gone", "name": "gone", "stats": {}, "capabilities": {}, "settings": {}}
    lab.db.write(lambda tx: sharing.heard(tx, "nova", "host-1", 2, said))
    loops.forget_storages(lab.cloud.control.cloud)
    assert backends.find(lab.db, "shared:gone", "gone") is not None
    monkeypatch.setattr(sharing, "FORGOTTEN", timedelta(0))
    lab.db.write(lambda tx: backend_store.remove(tx, "cluster:rack", "quick"))
    loops.forget_storages(lab.cloud.control.cloud)
    assert backends.find(lab.db, "shared:gone", "gone") is None
    assert backends.find(lab.db, "shared:attic", "slow") is not None, "it has a volume"
    monkeypatch.undo()
    loops.ask_hosts(lab.cloud.control.cloud)
    assert backends.get(lab.db, "cluster:rack@quick").hosts == ["host-1", "host-2"], "it tells of itself again"
    lab.gone("volumes", volume)


def test_orders_go_on_after_the_database_has_forgotten_a_term(lab: Lab) -> None:
    lab.gone("volumes", lab.make("slow"))
    before = backends.get(lab.db, "shared:attic@slow").report["term"]
    (lab.attic / "orders" / "term").write_text(str(before + 1))
    lab.gone("volumes", lab.make("slow"))
    assert backends.get(lab.db, "shared:attic@slow").report["term"] > before


def test_volumes_that_servers_of_several_hosts_have_are_snapshotted_together(lab: Lab) -> None:
    specs = {"group_type": {"name": secrets.token_hex(4), "group_specs": {}}}
    kind = lab.ask("POST", f"{CINDER}/group_types", specs)["group_type"]["id"]
    body = {"group": {"group_type": kind, "volume_types": [lab.kinds["quick"]], "name": "g"}}
    group = lab.ask("POST", f"{CINDER}/groups", body)["group"]["id"]
    until(lambda: lab.ask("GET", f"{CINDER}/groups/{group}")["group"]["status"] == "available")
    volumes = [lab.make("quick", group_id=group) for _ in range(2)]
    servers = [lab.tenant.server(host)["id"] for host in ("host-1", "host-2")]
    for server, volume in zip(servers, volumes, strict=True):
        lab.attach(server, volume)
    taken = lab.ask("POST", f"{CINDER}/group_snapshots", {"group_snapshot": {"group_id": group}})["group_snapshot"]
    path = f"{CINDER}/group_snapshots/{taken['id']}"
    until(lambda: lab.ask("GET", path)["group_snapshot"]["status"] == "available")
    lab.gone("group_snapshots", taken["id"])
    for server, volume in zip(servers, volumes, strict=True):
        lab.tenant.gone(server)
        lab.tenant.volume_in(volume, "available")
    lab.ask("POST", f"{CINDER}/groups/{group}/action", {"delete": {"delete-volumes": True}})
    until(lambda: lab.ask.ask("GET", f"{CINDER}/groups/{group}")[0] == 404)


def test_a_folder_that_is_not_mounted_takes_nothing(lab: Lab) -> None:
    hosts, volume = lab.cloud.control.hosts, lab.make("slow")
    (lab.attic / MARK).rename(lab.attic / "away")
    try:
        report = hosts.call("host-1", "volume.report", {})
        assert [each["name"] for each in report["backends"]] == ["quick"]
        with pytest.raises(NotReady, match="not mounted"):
            lab.opened("host-1", volume)
        with pytest.raises(NotReady, match="not mounted"):
            hosts.call("host-1", "volume.delete", {"id": volume, "backend": "slow", "term": 2**40})
        loops.ask_hosts(lab.cloud.control.cloud)
        assert backends.find(lab.db, "shared:attic", "slow") is not None
    finally:
        (lab.attic / "away").rename(lab.attic / MARK)
    lab.gone("volumes", volume)


def test_what_a_file_holds_is_there_on_every_host(lab: Lab) -> None:
    volume = lab.make("slow")
    for host, write in (("host-1", True), ("host-2", False)):
        disk = lab.opened(host, volume)
        command = f"{'write' if write else 'read'} -P 7 1M 64k"
        done = subprocess.run(["qemu-io", "-f", disk.format, "-c", command, disk.path], check=True, capture_output=True)
        assert b"verification failed" not in done.stdout
    assert store.find(lab.db, volume) is not None
