# SPDX-License-Identifier: Apache-2.0
"""From the API to what operators see: counts in notifications, packets in a host's log, and the way to a local IP."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from network_labs import BRIEF, connects, eventually, ping
from test_end_to_end import EXTERNAL, Place

from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from support import cloud as support

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]
LOCAL = "10.20.0.250"


def test_traffic_is_counted_logged_and_led(tmp_path):
    host = Namespace(f"e2e-{secrets.token_hex(3)}-host")
    host.create()
    try:
        host.visit(lambda: story(tmp_path))
    finally:
        host.delete()


def story(folder: Path) -> None:
    with Links() as links:
        links.settle("lo")
    with ExitStack() as closing:
        patch = closing.enter_context(pytest.MonkeyPatch.context())
        often = {"network.meter_interval": "0.2", "network.meter_report_interval": "0.5"}
        log = folder / "packets.log"
        patch.setattr(support, "FAKES", {**support.FAKES, **often, "network.packet_log": str(log)})
        place = Place(folder, closing)
        reports: list[dict[str, Any]] = []
        place.cloud.control.cloud.outbox.subscribe("l3.meter", lambda event: reports.append(event.payload))
        network = _wires(place)
        (first, one), (_, other) = place.boot(network), place.boot(network)
        closing.callback(one.close)
        closing.callback(other.close)
        _is_counted(place, one.space, reports)
        _is_logged(place, other.space, first.id, first.addresses[0].address, log)
        _is_led(place, other.space, network, first.id)


def _wires(place: Place) -> str:
    """A network behind a router to the outside."""
    public = place.api("POST", "networks", {"network": {"name": "public", "router:external": True}}, admin=True)
    outside = {"ip_version": 4, "cidr": f"{EXTERNAL}.0/24", "enable_dhcp": False}
    pools = [{"start": f"{EXTERNAL}.10", "end": f"{EXTERNAL}.50"}]
    body = {"subnet": {"network_id": public["network"]["id"], "allocation_pools": pools, **outside}}
    place.api("POST", "subnets", body, admin=True)
    network = str(place.api("POST", "networks", {"network": {"name": "inside"}})["network"]["id"])
    body = {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.20.0.0/24"}}
    subnet = place.api("POST", "subnets", body)["subnet"]["id"]
    gateway = {"router": {"external_gateway_info": {"network_id": public["network"]["id"]}}}
    router = place.api("POST", "routers", gateway)["router"]["id"]
    place.api("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet})
    return network


def _own(place: Place, kind: str, path: str, **words: Any) -> str:
    """What the administrator makes for the project."""
    body = {kind: {"project_id": place.words["PROJECT_ID"], **words}}
    return str(place.api("POST", path, body, admin=True)[kind]["id"])


def _is_counted(place: Place, guest: Namespace, reports: list[dict[str, Any]]) -> None:
    label = _own(place, "metering_label", "metering/metering-labels", name="out")
    words = {"metering_label_id": label, "direction": "egress", "source_ip_prefix": "10.20.0.0/24"}
    _own(place, "metering_label_rule", "metering/metering-label-rules", **words)

    def of_label() -> list[dict[str, Any]]:
        return [each for each in reports if each["label_id"] == label]

    def counted_before() -> int:
        """What is told when all that was sent until now has been."""
        have = len(of_label())
        assert eventually(lambda: len(of_label()) > have + 2, 15)
        return sum(each["pkts"] for each in of_label())

    def send() -> bool:
        return bool(guest.visit(lambda: ping(f"{EXTERNAL}.1", tries=1, patience=10)))

    assert eventually(lambda: bool(of_label()), 15)
    assert sum(each["pkts"] for each in of_label()) == 0
    assert eventually(lambda: send() and counted_before() > 0, 30), "once the host has the rule"
    before = counted_before()
    assert send()
    assert counted_before() == before + 1
    last = next(each for each in reversed(of_label()) if each["pkts"])
    assert (last["host"], last["project_id"], last["bytes"]) == ("host-1", place.words["PROJECT_ID"], 28)
    place.api("DELETE", f"metering/metering-labels/{label}", admin=True)


def _is_logged(place: Place, sender: Namespace, port: str, address: str, log: Path) -> None:
    made = _own(place, "log", "log/logs", resource_type="security_group", target_id=port, event="DROP")
    group = place.api("GET", f"ports/{port}")["port"]["security_groups"][0]
    rules = place.api("GET", f"security-group-rules?security_group_id={group}&direction=ingress")
    for rule in rules["security_group_rules"]:
        place.api("DELETE", f"security-group-rules/{rule['id']}")

    def written() -> str:
        sender.visit(lambda: connects(address, 22))
        return log.read_text() if log.exists() else ""

    expected = f"action=DROP project_id={place.words['PROJECT_ID']} log_resource_ids=['{made}'] vm_port={port} pkt="
    assert eventually(lambda: expected in written(), 15)
    place.api("DELETE", f"log/logs/{made}", admin=True)
    place.api(
        "POST", "security-group-rules", {"security_group_rule": {"security_group_id": group, "direction": "ingress"}}
    )


def _is_led(place: Place, sender: Namespace, network: str, port: str) -> None:
    body = {"local_ip": {"network_id": network, "local_ip_address": LOCAL}}
    local = place.api("POST", "local-ips", body)["local_ip"]["id"]
    assert not sender.visit(lambda: connects(LOCAL, 22, patience=BRIEF))
    path = f"local_ips/{local}/port_associations"
    place.api("POST", path, {"port_association": {"fixed_port_id": port}})
    assert eventually(lambda: sender.visit(lambda: connects(LOCAL, 22)), 15)
    place.api("DELETE", f"{path}/{port}")
    assert eventually(lambda: not sender.visit(lambda: connects(LOCAL, 22, patience=BRIEF)), 15)
