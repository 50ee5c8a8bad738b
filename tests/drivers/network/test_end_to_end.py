# SPDX-License-Identifier: Apache-2.0
"""From the API to packets: a whole control plane and agent in a namespace of their own, on the kernel fabric."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import socket
from contextlib import ExitStack
from typing import Any

import pytest
from network_labs import BRIEF, Guest, connects, eventually, ping

from cumulet.kernel.context import Context
from cumulet.kernel.link.host import Host
from cumulet.services.network.agent.service import NetworkHost
from cumulet.services.network.contract import HostPorts, NetworkContract, PortInfo, PortRequest
from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace, with_prefix
from cumulet.services.network.types import FixedAddress, PortState
from support import cloud as support
from support.people import environment

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]
EXTERNAL = "198.18.5"


class Place:
    """A running cloud whose host is a namespace; `api` speaks to it as a member of a project or as the admin."""

    def __init__(self, folder: Any, closing: ExitStack) -> None:
        patch = closing.enter_context(pytest.MonkeyPatch.context())
        settings = {
            "network.driver": "fabric",
            "network.external_cidr": f"{EXTERNAL}.0/24",
            "network.external_gateway": f"{EXTERNAL}.1",
        }
        patch.setattr(support, "FAKES", {**support.FAKES, **settings})
        self._parts: list[tuple[NetworkHost, Host]] = []
        begin = NetworkHost.__init__

        def noted(part: NetworkHost, host: Host, *rest: Any) -> None:
            begin(part, host, *rest)
            self._parts.append((part, host))

        patch.setattr(NetworkHost, "__init__", noted)
        self.cloud = support.RunningCloud(folder, ["identity", "network"])
        closing.callback(self.cloud.close)
        closing.callback(lambda: self._parts[-1][0].shutdown())
        self.words = environment(self.cloud)
        self.network = self.cloud.control.cloud.contracts.use(NetworkContract)
        self.ports = self._parts[-1][1].contracts.use(HostPorts)
        self.ctx = Context(project_id=self.words["PROJECT_ID"], roles=frozenset({"member", "reader"}))

    def api(self, method: str, path: str, body: Any = None, *, admin: bool = False) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.cloud.settings.control.port, timeout=20)
        token = self.words["ADMIN_TOKEN" if admin else "MEMBER_TOKEN"]
        headers = {"x-auth-token": token, "content-type": "application/json"}
        connection.request(method, f"/network/v2.0/{path}", json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status < 300, text
        return json.loads(text) if text else None

    def boot(self, network_id: str) -> tuple[PortInfo, Guest]:
        """What compute does for a server with one interface."""
        db, server = self.cloud.control.db, secrets.token_hex(16)
        request = [PortRequest(network_id=network_id)]
        info = db.write(
            lambda tx: self.network.create_ports(
                tx, self.ctx, server_id=server, host="", availability_zone="nova", requests=request
            )
        )[0]
        db.write(lambda tx: self.network.bind(tx, [info.id], "host-1"))
        self.network.converge("host-1")
        fixed = [FixedAddress(address=one.address, prefix=one.prefix, subnet_id="") for one in info.addresses]
        state = PortState(id=info.id, network_id=network_id, mac=info.mac, addresses=fixed)
        gateways = [info.addresses[0].subnet.gateway]
        guest = Guest(f"e2e-{secrets.token_hex(3)}", state, gateways, self.ports.open_tap(info.id))
        return info, guest

    def status(self, port_id: str) -> str:
        return str(self.api("GET", f"ports/{port_id}")["port"]["status"])


def test_a_server_s_network_from_the_api_to_packets(tmp_path):
    host = Namespace(f"e2e-{secrets.token_hex(3)}-host")
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
        public = place.api("POST", "networks", {"network": {"name": "public", "router:external": True}}, admin=True)
        outside = {
            "network_id": public["network"]["id"],
            "ip_version": 4,
            "cidr": f"{EXTERNAL}.0/24",
            "enable_dhcp": False,
            "allocation_pools": [{"start": f"{EXTERNAL}.10", "end": f"{EXTERNAL}.50"}],
        }
        place.api("POST", "subnets", {"subnet": outside}, admin=True)
        inside = place.api("POST", "networks", {"network": {"name": "inside"}})["network"]["id"]
        subnet = place.api(
            "POST", "subnets", {"subnet": {"network_id": inside, "ip_version": 4, "cidr": "10.20.0.0/24"}}
        )["subnet"]["id"]
        gateway = {"network_id": public["network"]["id"]}
        router = place.api("POST", "routers", {"router": {"external_gateway_info": gateway}})["router"]["id"]
        place.api("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet})
        first, one = place.boot(inside)
        closing.callback(one.close)
        second, other = place.boot(inside)
        closing.callback(other.close)
        assert eventually(lambda: place.status(first.id) == "ACTIVE")
        assert one.space.visit(lambda: ping(second.addresses[0].address)), "members of the default group"
        assert one.space.visit(lambda: ping(f"{EXTERNAL}.1")), "the host, by source NAT"

        assert marks_follow_the_policy(place, first.id, one, other, second.addresses[0].address)

        floating = place.api(
            "POST", "floatingips", {"floatingip": {"floating_network_id": gateway["network_id"], "port_id": first.id}}
        )["floatingip"]
        address = floating["floating_ip_address"]
        assert not ping(address, tries=1), "nothing is open to the outside yet"
        group = first.security_groups[0]
        for rule in ({"protocol": "icmp"}, {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}):
            body = {"security_group_id": group, "direction": "ingress", **rule}
            place.api("POST", "security-group-rules", {"security_group_rule": body})
        assert eventually(lambda: ping(address))
        assert connects(address, 22)
        assert not connects(address, 8080, patience=BRIEF)
        assert place.network.ports_of(place.cloud.control.db, []) == {}
        port = place.network.port(place.cloud.control.db, place.ctx, first.id)
        assert port.addresses[0].floating == [address]

        place.api("PUT", f"floatingips/{floating['id']}", {"floatingip": {"port_id": second.id}})
        place.ports.close_tap(first.id)
        assert eventually(lambda: place.status(first.id) == "DOWN")
        assert eventually(lambda: connects(address, 22)), "the second guest answers now"
        place.api("DELETE", f"floatingips/{floating['id']}")
        assert eventually(lambda: not ping(address, tries=1))
        place.api("PUT", f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
        assert eventually(lambda: not other.space.visit(lambda: ping("10.20.0.1", tries=1)))


def marks_follow_the_policy(place: Place, port_id: str, sender: Guest, receiver: Guest, address: str) -> bool:
    """Whether what a guest sends is marked as its port's policy says, and no longer when it has none."""
    project = place.words["PROJECT_ID"]
    body = {"policy": {"name": "marked", "project_id": project}}
    policy = place.api("POST", "qos/policies", body, admin=True)["policy"]["id"]
    rules = f"qos/policies/{policy}/dscp_marking_rules"
    place.api("PUT", f"ports/{port_id}", {"port": {"qos_policy_id": policy}})
    rule = place.api("POST", rules, {"dscp_marking_rule": {"dscp_mark": 26}}, admin=True)["dscp_marking_rule"]["id"]
    found = eventually(lambda: mark(sender, receiver, address) == 26)
    place.api("PUT", f"{rules}/{rule}", {"dscp_marking_rule": {"dscp_mark": 8}}, admin=True)
    found = found and eventually(lambda: mark(sender, receiver, address) == 8)
    place.api("PUT", f"ports/{port_id}", {"port": {"qos_policy_id": None}})
    return found and eventually(lambda: mark(sender, receiver, address) == 0)


def mark(sender: Guest, receiver: Guest, address: str) -> int:
    """The DSCP value of a datagram from one guest to another; -1 where it does not arrive."""
    ear = receiver.space.visit(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    mouth = sender.space.visit(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with ear, mouth:
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        ear.bind(("0.0.0.0", 9000))
        ear.settimeout(0.5)
        mouth.sendto(b"x", (address, 9000))
        try:
            return int(ear.recvmsg(64, 64)[1][0][2][0]) >> 2
        except TimeoutError:
            return -1
