# SPDX-License-Identifier: Apache-2.0
"""Builds that fail: another host is tried, all that is held moves there, failures are counted, owners are told."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from cumulet.fake_hosts import name_of
from cumulet.kernel.injection import FILE
from cumulet.services.compute.logic import explain
from cumulet.services.compute.store import hosts as store
from fakes.crowd import JOIN_TIME, Crowd
from support.waiting import until

SERVERS = "/compute/v2.1/servers"
BUILD = "compute.fake.build"


@pytest.fixture
def trouble(place: Crowd) -> Iterator[Callable[..., None]]:
    """Have builds fail from now on until the test ends: all, or the next `count`, on hosts like `host`."""
    path = place.cloud.settings.state / FILE

    def have(error: str = "Conflict", count: int = 0, host: str = "*") -> None:
        some = f"count = {count}" if count else ""
        fault = f'[[fault]]\nplace = "{BUILD}"\nkind = "fail"\nerror = "{error}"\nhost = "{host}"\n{some}\n'
        draft = path.with_suffix(".new")
        draft.write_text(fault)
        draft.rename(path)

    yield have
    path.unlink(missing_ok=True)


class Zone:
    """Some hosts that this test has for itself."""

    def __init__(self, place: Crowd, *numbers: int) -> None:
        self.place, self.name, self.hosts = place, secrets.token_hex(4), {name_of(number) for number in numbers}
        until(lambda: self.hosts <= place.hypervisors(), JOIN_TIME)
        admin, aggregates = place.tenant.admin, "/compute/v2.1/os-aggregates"
        words = {"name": self.name, "availability_zone": self.name}
        made = admin("POST", aggregates, {"aggregate": words})["aggregate"]["id"]
        for host in self.hosts:
            admin("POST", f"{aggregates}/{made}/action", {"add_host": {"host": host}})

    def server(self, **more: Any) -> dict[str, Any]:
        """What became of a server that was asked for here, as its owner sees it."""
        tenant = self.place.tenant
        words = {"name": self.name, "flavorRef": tenant.flavor, "imageRef": tenant.image, "networks": "none"}
        caller = tenant.admin if "host" in more else tenant.api
        where = {} if "host" in more else {"availability_zone": self.name}
        made = caller("POST", SERVERS, {"server": {**words, **where, **more}})["server"]["id"]

        def look() -> dict[str, Any] | None:
            found = caller("GET", f"{SERVERS}/{made}")["server"]
            return found if found["status"] in ("ACTIVE", "ERROR") else None

        return until(look, JOIN_TIME)

    def host_of(self, server: dict[str, Any]) -> str:
        return self.place.tenant.admin("GET", f"{SERVERS}/{server['id']}")["server"]["OS-EXT-SRV-ATTR:host"]

    def failures(self) -> dict[str, int]:
        found = {host: store.find(self.place.cloud.control.cloud.db, host) for host in sorted(self.hosts)}
        return {name: host.failed_builds for name, host in found.items() if host is not None}

    def holds(self, server: dict[str, Any]) -> list[str]:
        """The hosts on which placement says that the server holds anything."""
        admin = self.place.tenant.admin
        held = admin("GET", f"/placement/allocations/{server['id']}")["allocations"]
        known = admin("GET", "/compute/v2.1/os-hypervisors")["hypervisors"]
        return [each["hypervisor_hostname"] for each in known if each["id"] in held]

    def attempts(self, server: dict[str, Any]) -> list[tuple[str, str]]:
        """The hosts on which it was built, and with what result, the first one first."""
        told = explain.server(self.place.cloud.control.cloud, server["id"], {})
        assert told is not None
        steps = [step for event in told.events for step in event["steps"] if event["what"] == "create"]
        return [(step["host"], step["result"]) for step in reversed(steps)]


def test_a_build_that_failed_is_done_on_another_host(place: Crowd, trouble: Callable[..., None]) -> None:
    zone, tenant = Zone(place, 11, 12, 13), place.tenant
    network = tenant.api("POST", "/network/v2.0/networks", {"network": {"name": zone.name}})["network"]["id"]
    wanted = {"network_id": network, "ip_version": 4, "cidr": "10.77.0.0/24"}
    tenant.api("POST", "/network/v2.0/subnets", {"subnet": wanted})
    new = {"destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    disks = [{"boot_index": 0, "source_type": "image", "uuid": tenant.image, **new}]
    trouble(count=2)
    server = zone.server(networks=[{"uuid": network}], imageRef="", block_device_mapping_v2=disks)
    assert server["status"] == "ACTIVE", server.get("fault")
    home = zone.host_of(server)
    assert zone.holds(server) == [home]
    ports = tenant.admin("GET", f"/network/v2.0/ports?device_id={server['id']}")["ports"]
    assert [port["binding:host_id"] for port in ports] == [home]
    volume = server["os-extended-volumes:volumes_attached"][0]["id"]
    assert len(tenant.volume_in(volume, "in-use")["attachments"]) == 1
    tried = zone.attempts(server)
    assert [result for _, result in tried] == ["Error", "Error", "Success"]
    assert ({host for host, _ in tried}, tried[-1][0]) == (zone.hosts, home)
    assert zone.failures() == {host: int(host != home) for host in sorted(zone.hosts)}
    tenant.gone(server["id"])


def test_a_build_that_goes_well_makes_up_for_all_failures(place: Crowd, trouble: Callable[..., None]) -> None:
    zone = Zone(place, 14)
    trouble()
    for number in (1, 2):
        failed = zone.server()
        assert failed["status"] == "ERROR"
        assert zone.failures() == {name_of(14): number}
        place.tenant.gone(failed["id"])
    trouble(host="nobody")
    server = zone.server()
    assert server["status"] == "ACTIVE"
    assert zone.failures() == {name_of(14): 0}
    place.tenant.gone(server["id"])


def test_failures_are_not_counted_where_nobody_wants_it(
    place: Crowd, trouble: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    zone, cloud = Zone(place, 15), place.cloud.control.cloud
    compute = msgspec.structs.replace(cloud.settings.compute, consecutive_build_service_disable_threshold=0)
    monkeypatch.setattr(cloud, "settings", msgspec.structs.replace(cloud.settings, compute=compute))
    trouble()
    failed = zone.server()
    assert (failed["status"], zone.failures()) == ("ERROR", {name_of(15): 0})
    place.tenant.gone(failed["id"])


def test_three_hosts_are_tried_and_no_more(place: Crowd, trouble: Callable[..., None]) -> None:
    zone = Zone(place, 16, 17, 18, 19)
    trouble(error="Bug")
    server = zone.server()
    words = "Exceeded maximum number of retries. Exceeded max scheduling attempts 3 for instance "
    assert server["fault"]["message"].startswith(f"{words}{server['id']}. Last exception: ")
    assert (zone.host_of(server), zone.holds(server)) == (None, [])
    assert sorted(zone.failures().values()) == [0, 1, 1, 1]
    place.tenant.gone(server["id"])


def test_where_no_host_is_left_the_owner_is_told_so(place: Crowd, trouble: Callable[..., None]) -> None:
    zone = Zone(place, 20, 21)
    trouble()
    server = zone.server()
    words = (
        "Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for instance "
    )
    assert server["fault"]["message"] == f"{words}{server['id']}."
    assert zone.failures() == {name_of(20): 1, name_of(21): 1}
    told = explain.server(place.cloud.control.cloud, server["id"], {})
    assert told is not None
    assert "tried" in told.advice[0]
    place.tenant.gone(server["id"])


@pytest.mark.parametrize("error", ["Invalid", "NotFound"])
def test_what_no_host_can_mend_is_tried_once(place: Crowd, trouble: Callable[..., None], error: str) -> None:
    zone = Zone(place, 22, 23) if error == "Invalid" else Zone(place, 24, 25)
    trouble(error=error)
    server = zone.server()
    assert server["fault"]["message"] == f"{BUILD} failed on purpose"
    assert [result for _, result in zone.attempts(server)] == ["Error"]
    place.tenant.gone(server["id"])


def test_a_host_that_was_asked_for_by_name_is_the_only_one(place: Crowd, trouble: Callable[..., None]) -> None:
    zone = Zone(place, 26, 27)
    trouble()
    server = zone.server(host=name_of(26))
    assert server["fault"]["message"] == f"{BUILD} failed on purpose"
    assert zone.failures() == {name_of(26): 1, name_of(27): 0}
    place.tenant.gone(server["id"])
