# SPDX-License-Identifier: Apache-2.0
"""A trunk from the API to tagged frames: a whole control plane and agent in a namespace of their own."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from typing import Any

import pytest
from network_labs import Guest, eventually, ping
from test_end_to_end import Place

from cumulet.services.network.contract import PortRequest
from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace, with_prefix
from cumulet.services.network.drivers.fabric.tags import PROGRAMS, Tagged, Tags
from cumulet.services.network.types import FixedAddress, PortState

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]
TAG = 42


def test_a_trunk_from_the_api_to_packets(tmp_path):
    host = Namespace(f"trunk-{secrets.token_hex(3)}-host")
    host.create()
    try:
        host.visit(lambda: whole_story(tmp_path))
        assert with_prefix(names.fabric(names.suffix(tmp_path / "agent"))) == []
    finally:
        host.delete()


def whole_story(folder: Any) -> None:
    with Links() as links:
        links.settle("lo")
    with ExitStack() as closing:
        place = Place(folder, closing)
        near, far = (network(place, number) for number in (30, 31))
        parent, child = (place.api("POST", "ports", {"port": {"network_id": key}})["port"] for key in (near, far))
        sub = {"port_id": child["id"], "segmentation_type": "vlan", "segmentation_id": TAG}
        trunk = place.api("POST", "trunks", {"trunk": {"port_id": parent["id"], "sub_ports": [sub]}})["trunk"]["id"]
        guest = started(place, parent["id"])
        closing.callback(guest.close)
        neighbour, other = place.boot(far)
        closing.callback(other.close)
        mac, address = child["mac_address"], child["fixed_ips"][0]["ip_address"]
        guest.space.visit(lambda: tag(mac, f"{address}/24"))
        there = neighbour.addresses[0].address
        assert eventually(lambda: guest.space.visit(lambda: ping(there)))
        assert eventually(lambda: status(place, trunk) == "ACTIVE")
        assert place.status(child["id"]) == "ACTIVE"
        place.api("PUT", f"trunks/{trunk}/remove_subports", {"sub_ports": [{"port_id": child["id"]}]})
        assert eventually(lambda: not guest.space.visit(lambda: ping(there, tries=1)))
        assert eventually(lambda: place.status(child["id"]) == "DOWN")
        place.api("PUT", f"trunks/{trunk}/add_subports", {"sub_ports": [sub]})
        assert eventually(lambda: guest.space.visit(lambda: ping(there)))
        assert eventually(lambda: status(place, trunk) == "ACTIVE")
        place.ports.close_tap(parent["id"])
        assert eventually(lambda: status(place, trunk) == "DOWN")


def network(place: Place, number: int) -> str:
    made = place.api("POST", "networks", {"network": {}})["network"]["id"]
    body = {"network_id": made, "ip_version": 4, "cidr": f"10.{number}.0.0/24"}
    place.api("POST", "subnets", {"subnet": body})
    return str(made)


def started(place: Place, port_id: str) -> Guest:
    """What compute does for a server with a port that its user made."""
    db, server = place.cloud.control.db, secrets.token_hex(16)
    info = db.write(
        lambda tx: place.network.create_ports(
            tx, place.ctx, server_id=server, host="", availability_zone="nova", requests=[PortRequest(port_id=port_id)]
        )
    )[0]
    db.write(lambda tx: place.network.bind(tx, [info.id], "host-1"))
    place.network.converge("host-1")
    fixed = [FixedAddress(address=one.address, prefix=one.prefix, subnet_id="") for one in info.addresses]
    state = PortState(id=info.id, network_id=info.network_id, mac=info.mac, addresses=fixed)
    return Guest(f"trunk-{secrets.token_hex(3)}", state, [], place.ports.open_tap(info.id))


def status(place: Place, trunk: str) -> str:
    return str(place.api("GET", f"trunks/{trunk}")["trunk"]["status"])


def tag(mac: str, address: str) -> None:
    """In the guest: a device for the tag, as its own system would make it."""
    with Links() as links:
        Tags(PROGRAMS).settle(links, "eth0", [Tagged(TAG, "tagged", "tagger", 1450)])
        links._route.link("set", index=links.devices["tagged"].index, address=mac)
        links.settle("tagged")
        links.addresses("tagged", [address])
