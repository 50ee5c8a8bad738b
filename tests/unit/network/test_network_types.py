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
from cumulet.services.network.logic import agents, network_types, segment_ranges
from cumulet.services.network.types import HostReport, provider
from cumulet.settings.network import Network as NetworkSettings
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


class TestVlans:
    """Networks that are the tags of a physical one."""

    @pytest.fixture
    def studio(self, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
        chosen = msgspec.structs.replace(
            studio.cloud.settings.network, network_vlan_ranges=("air:11:12", "sea"), flat_networks=("*",)
        )
        before = studio.cloud.settings
        monkeypatch.setattr(studio.cloud, "settings", msgspec.structs.replace(before, network=chosen))
        yield studio
        studio.cloud.settings = before
        studio.cloud.db.write(lambda tx: segment_ranges.follow(studio.cloud, tx))

    def test_they_are_on_physical_networks_that_are_known(self, studio: Studio):
        made = studio.network(network_type="vlan", physical_network="sea", segmentation_id=4094)
        assert (made["provider:physical_network"], made["provider:segmentation_id"]) == ("sea", 4094)
        assert "unknown for VLAN" in studio.network(network_type="vlan", physical_network="fog")["message"]
        flat = studio.network(network_type="flat", physical_network="fog")
        assert flat["provider:physical_network"] == "fog", "any may be a flat one"
        assert studio.network(network_type="flat", physical_network="fog")["type"] == "FlatNetworkInUse"

    def test_numbers_are_given_out_of_the_ranges_of_the_settings(self, studio: Studio):
        studio.cloud.db.write(lambda tx: segment_ranges.follow(studio.cloud, tx))
        found = [studio.network(network_type="vlan", physical_network="air") for _ in range(2)]
        assert [each["provider:segmentation_id"] for each in found] == [11, 12]
        assert studio.network(network_type="vlan", physical_network="air")["type"] == "NoNetworkAvailable"
        assert studio.network(network_type="vlan", physical_network="sea")["type"] == "NoNetworkAvailable"


def test_ranges_of_tags_are_read_from_settings():
    found = provider.vlan_ranges(["air:11:12", "sea", "air:20:20"])
    assert found == {"air": [range(11, 13), range(20, 21)], "sea": []}
    assert provider.mappings(["air:eth1", "sea:bond0.7"]) == {"air": "eth1", "sea": "bond0.7"}


@pytest.mark.parametrize("text", ["air:0:5", "air:5:4", "air:1:4095", "air:1", "air:a:b", ":1:2"])
def test_ranges_that_are_none_are_refused(text: str):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"network_vlan_ranges": [text]}, NetworkSettings)


def test_a_name_that_nobody_knows_is_no_driver():
    with pytest.raises(Unsupported):
        network_types.find("nonsense")
