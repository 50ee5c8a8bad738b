# SPDX-License-Identifier: Apache-2.0
"""Volumes of one host in servers of another, through the API: on two fake hosts."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel.link.host import Journal
from cumulet.services.block_storage import loops
from fakes.hosts import Tenant, another_host
from support.cloud import RunningCloud
from support.waiting import until


class Place:
    """Two hosts; volumes go where `volumes_to` says."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.tenant = Tenant(cloud)
        self.folders = {"host-1": cloud.settings.state, "host-2": cloud.settings.state / "host-2"}

    def volume_on(self, host: str) -> str:
        """A volume on one host: the other one takes none meanwhile."""
        for each in self.folders:
            verb = "enable" if each == host else "disable"
            body = {"binary": "cinder-volume", "host": f"{each}@fake"}
            self.tenant.admin("PUT", f"/block-storage/v3/os-services/{verb}", body)
        volume = self.tenant.volume()
        assert self.tenant.volume_in(volume, "available")["os-vol-host-attr:host"].startswith(host)
        return volume

    def exports(self, host: str) -> dict[str, Any]:
        """Who may open what: the fake exporter's own journal."""
        return Journal(self.folders[host] / "agent" / "journal" / "exports.fake").items()

    def limits(self, host: str, server: str) -> dict[str, dict[str, int]]:
        """What the fake hypervisor keeps the server's volumes to."""
        folder = self.folders[host] / "agent" / "journal" / "compute.fake"
        found: dict[str, dict[str, int]] = Journal(folder).items()[server]["limits"]
        return found

    def attach(self, server: str, volume: str) -> None:
        body = {"volumeAttachment": {"volumeId": volume}}
        self.tenant.admin("POST", f"/compute/v2.1/servers/{server}/os-volume_attachments", body)
        self.tenant.volume_in(volume, "in-use")

    def detach(self, server: str, volume: str) -> None:
        self.tenant.admin("DELETE", f"/compute/v2.1/servers/{server}/os-volume_attachments/{volume}")
        self.tenant.volume_in(volume, "available")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    cloud = RunningCloud(Path(tmp_path_factory.mktemp("hosts")))
    try:
        with another_host(cloud, "host-2"):
            yield Place(cloud)
    finally:
        cloud.close()


def test_a_volume_is_exported_as_long_as_it_is_attached(place: Place) -> None:
    volume, server = place.volume_on("host-1"), place.tenant.server("host-2")
    for _ in range(2):
        place.attach(server["id"], volume)
        assert [one["clients"] for one in place.exports("host-1").values()] == [["host-2"]]
        place.detach(server["id"], volume)
        assert place.exports("host-1") == {}
    place.tenant.gone(server["id"])


def test_a_volume_moves_between_hosts(place: Place) -> None:
    volume = place.volume_on("host-2")
    far, near = place.tenant.server("host-1"), place.tenant.server("host-2")
    place.attach(far["id"], volume)
    assert list(place.exports("host-2")) == [volume]
    place.detach(far["id"], volume)
    place.attach(near["id"], volume)
    assert place.exports("host-2") == {}
    place.detach(near["id"], volume)
    for server in (far, near):
        place.tenant.gone(server["id"])


def test_a_deleted_server_leaves_no_export(place: Place) -> None:
    volume, server = place.volume_on("host-1"), place.tenant.server("host-2")
    place.attach(server["id"], volume)
    place.tenant.gone(server["id"])
    place.tenant.volume_in(volume, "available")
    assert place.exports("host-1") == {}


def test_an_exported_volume_grows_and_has_snapshots(place: Place) -> None:
    volume, server = place.volume_on("host-1"), place.tenant.server("host-2")
    place.attach(server["id"], volume)
    body = {"os-extend": {"new_size": 2}}
    place.tenant.admin("POST", f"/block-storage/v3/volumes/{volume}/action", body)
    until(lambda: place.tenant.volume_in(volume, "in-use")["size"] == 2)
    noted = place.tenant.admin("GET", f"/compute/v2.1/servers/{server['id']}/os-instance-actions")["instanceActions"]
    assert "extend_volume" in [each["action"] for each in noted]
    made = place.tenant.admin(
        "POST", "/block-storage/v3/snapshots", {"snapshot": {"volume_id": volume, "force": True, "name": "s"}}
    )
    snapshot = f"/block-storage/v3/snapshots/{made['snapshot']['id']}"
    until(lambda: place.tenant.admin("GET", snapshot)["snapshot"]["status"] == "available")
    place.tenant.gone(server["id"])
    place.tenant.admin("DELETE", snapshot)


def test_limits_come_with_a_volume_and_grow_with_it(place: Place) -> None:
    admin, base, name = place.tenant.admin, "/block-storage/v3", secrets.token_hex(4)
    words = {"name": name, "consumer": "front-end", "total_iops_sec_per_gb": "100", "read_bytes_sec": "4096"}
    specs = admin("POST", f"{base}/qos-specs", {"qos_specs": words})["qos_specs"]["id"]
    kind = admin("POST", f"{base}/types", {"volume_type": {"name": name}})["volume_type"]["id"]
    admin("GET", f"{base}/qos-specs/{specs}/associate?vol_type_id={kind}")
    server = place.tenant.server("host-2")
    made = admin("POST", f"{base}/volumes", {"volume": {"size": 2, "volume_type": kind}})["volume"]["id"]
    place.tenant.volume_in(made, "available")
    place.attach(server["id"], made)
    assert place.limits("host-2", server["id"]) == {made: {"total_iops_sec": 200, "read_bytes_sec": 4096}}
    admin("POST", f"{base}/volumes/{made}/action", {"os-extend": {"new_size": 5}})
    grown = {made: {"total_iops_sec": 500, "read_bytes_sec": 4096}}
    until(lambda: place.limits("host-2", server["id"]) == grown)
    place.tenant.volume_in(made, "in-use")
    for action in ("os-stop", "os-start"):
        admin("POST", f"/compute/v2.1/servers/{server['id']}/action", {action: None})
        place.tenant.settled(server["id"])
    assert place.limits("host-2", server["id"]) == grown
    # What cannot be kept is no disk.
    place.detach(server["id"], made)
    admin("PUT", f"{base}/qos-specs/{specs}", {"qos_specs": {"read_iops_sec": "7"}})
    body = {"volumeAttachment": {"volumeId": made}}
    admin("POST", f"/compute/v2.1/servers/{server['id']}/os-volume_attachments", body)
    place.tenant.volume_in(made, "available")
    assert place.limits("host-2", server["id"]) == {}
    place.tenant.gone(server["id"])


def test_a_server_boots_from_a_volume_of_another_host(place: Place) -> None:
    volume = place.volume_on("host-1")
    body = {"os-set_bootable": {"bootable": True}}
    place.tenant.admin("POST", f"/block-storage/v3/volumes/{volume}/action", body)
    disk = {"source_type": "volume", "destination_type": "volume", "uuid": volume, "boot_index": 0}
    server = place.tenant.server("host-2", block_device_mapping_v2=[disk])
    assert [one["clients"] for one in place.exports("host-1").values()] == [["host-2"]]
    place.tenant.gone(server["id"])
    assert place.exports("host-1") == {}


def test_a_server_goes_to_its_volume_where_it_can(place: Place) -> None:
    volume = place.volume_on("host-2")
    body = {"os-set_bootable": {"bootable": True}}
    place.tenant.admin("POST", f"/block-storage/v3/volumes/{volume}/action", body)
    disk = {"source_type": "volume", "destination_type": "volume", "uuid": volume, "boot_index": 0}
    body = {"server": {"name": "near", "flavorRef": place.tenant.flavor, "networks": "none"}}
    body["server"]["block_device_mapping_v2"] = [disk]
    made = place.tenant.admin("POST", "/compute/v2.1/servers", body)["server"]["id"]
    assert place.tenant.settled(made)["OS-EXT-SRV-ATTR:host"] == "host-2"
    place.tenant.gone(made)


def test_exports_without_an_attachment_are_tidied_up(place: Place) -> None:
    volume = place.volume_on("host-1")
    hosts = place.cloud.control.hosts
    hosts.call("host-1", "volume.export", {"id": volume, "generation": 99, "client": "host-2"})
    assert list(place.exports("host-1")) == [volume]
    loops.ask_hosts(place.cloud.control.cloud)
    assert place.exports("host-1") == {}
