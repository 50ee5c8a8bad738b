# SPDX-License-Identifier: Apache-2.0
"""The list of extensions is Neutron's own, but for what is named here."""

from __future__ import annotations

from pathlib import Path

import httpx

from support.cloud import RunningCloud
from support.people import environment

# All that plug-ins in the tree of Neutron 29 announce: its core, routers of both flavours, and services.
KNOWN = frozenset((Path(__file__).parent / "neutron_aliases.txt").read_text().split())
NOT_HERE = {
    "ecmp_routes": "no plug-in announces it",
    "evpn": "OVN's routers alone",
    "l3-agent-scheduler-ha-chassis-priority": "OVN's routers alone",
    "ovn-bgp": "OVN's routers alone",
    "pvlan": "OVN alone",
    "qos-fip-network-policy": "no plug-in announces it",
    "router-service-type": "of service insertion, which is long gone; flavors came in its place",
}


def test_what_neutron_announces_is_announced_and_nothing_else(cloud: RunningCloud) -> None:
    headers = {"x-auth-token": environment(cloud)["MEMBER_TOKEN"]}
    answer = httpx.get(f"{cloud.control_url}/network/v2.0/extensions", headers=headers, timeout=30).json()
    announced = {extension["alias"] for extension in answer["extensions"]}
    assert NOT_HERE.keys() <= KNOWN
    assert announced == KNOWN - NOT_HERE.keys()
    assert all(extension["name"] and extension["updated"] for extension in answer["extensions"])
