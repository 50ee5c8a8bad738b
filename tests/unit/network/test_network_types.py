# SPDX-License-Identifier: Apache-2.0
"""Kinds of networks that other packages bring, and hosts that carry them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from cumulet.kernel import plugins
from cumulet.kernel.errors import Unsupported
from cumulet.services.network.contract import ProviderSegment
from cumulet.services.network.logic import agents, network_types
from cumulet.services.network.types import HostReport
from support.people import environment


class Radio:
    """Networks by waves, of which there are two."""

    overhead, numbers, everywhere = 100, range(16_100_000, 16_100_002), False

    def refuse(self, segment: ProviderSegment) -> str | None:
        return "physical_network prohibited" if segment.physical_network else None


class Studio:
    """A cloud that offers them."""

    def __init__(self, cloud: Any) -> None:
        words = environment(cloud)
        self.cloud = cloud.control.cloud
        self.host = f"mast-{words['SUFFIX']}"
        headers = {"x-auth-token": words["ADMIN_TOKEN"]}
        self.client = httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30)
        self.made: list[str] = []

    def network(self, **words: Any) -> dict[str, Any]:
        given = {f"provider:{name}": value for name, value in words.items()}
        answer = self.client.post("/networks", json={"network": given}).json()
        if "network" not in answer:
            refusal: dict[str, Any] = answer["NeutronError"]
            return refusal
        found: dict[str, Any] = answer["network"]
        self.made.append(found["id"])
        return found

    def joins(self) -> None:
        report = HostReport(gateway=False, capabilities={"network_types": ["radio"]})
        self.cloud.db.write(lambda tx: agents.joined(tx, self.host, report))

    def close(self) -> None:
        for key in self.made:
            self.client.delete(f"/networks/{key}")
        for agent in self.client.get(f"/agents?host={self.host}").json()["agents"]:
            self.client.delete(f"/agents/{agent['id']}")
        self.client.close()


@pytest.fixture
def studio(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setattr(plugins, "load", lambda group, name: {(network_types.GROUP, "radio"): Radio}[group, name])
    settings = cloud.control.cloud.settings
    network = msgspec.structs.replace(settings.network, type_drivers=(*settings.network.type_drivers, "radio"))
    monkeypatch.setattr(cloud.control.cloud, "settings", msgspec.structs.replace(settings, network=network))
    found = Studio(cloud)
    yield found
    found.close()


def test_a_kind_needs_a_host_that_carries_it(studio: Studio):
    refused = studio.network(network_type="radio")
    assert refused["type"] == "InvalidInput"
    assert "no host carries such networks" in refused["message"]
    studio.joins()
    assert studio.network(network_type="radio")["provider:network_type"] == "radio"


def test_its_numbers_and_packets_are_as_it_says(studio: Studio):
    studio.joins()
    first, second = (studio.network(network_type="radio") for _ in range(2))
    assert [each["provider:segmentation_id"] for each in (first, second)] == [*Radio.numbers]
    assert first["mtu"] == 1400
    assert studio.network(network_type="radio")["type"] == "NoNetworkAvailable"
    assert studio.network(network_type="radio", segmentation_id=16_100_000)["type"] == "TunnelIdInUse"
    assert "out of range" in studio.network(network_type="radio", segmentation_id=5)["message"]
    assert "prohibited" in studio.network(network_type="radio", physical_network="air")["message"]


def test_what_the_settings_leave_out_is_not_offered(studio: Studio, monkeypatch: pytest.MonkeyPatch):
    network = msgspec.structs.replace(studio.cloud.settings.network, type_drivers=("local",))
    monkeypatch.setattr(studio.cloud, "settings", msgspec.structs.replace(studio.cloud.settings, network=network))
    assert "not supported" in studio.network(network_type="vxlan")["message"]
    assert studio.network()["type"] == "NoNetworkAvailable"
    assert studio.network(network_type="local")["provider:network_type"] == "local"


def test_a_name_that_nobody_knows_is_no_driver():
    with pytest.raises(Unsupported):
        network_types.find("nonsense")
