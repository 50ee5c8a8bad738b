# SPDX-License-Identifier: Apache-2.0
"""What the paths under network's floating IPs and routers name."""

from __future__ import annotations

from personas.props.network import made, owned
from personas.stage import Prop, Stage


def port_forwarding(stage: Stage) -> Prop:
    """One on a floating IP of the member's, with a router between it and the port that it leads to."""
    outside = stage.word("external")
    inside = made(stage, "network")["id"]
    subnet = made(stage, "subnet", network_id=inside, ip_version=4, cidr="10.8.0.0/24")["id"]
    router = made(stage, "router", external_gateway_info={"network_id": outside})["id"]
    stage.make("network", f"/routers/{router}/add_router_interface", {"subnet_id": subnet}, "member", "PUT")
    port = made(stage, "port", network_id=inside, fixed_ips=[{"ip_address": "10.8.0.9"}])["id"]
    floating = made(stage, "floatingip", floating_network_id=outside)["id"]
    words = {"internal_port_id": port, "internal_ip_address": "10.8.0.9", "protocol": "tcp"}
    body = {"port_forwarding": {**words, "internal_port": 80, "external_port": 8080}}
    found = stage.make("network", f"/floatingips/{floating}/port_forwardings", body)["port_forwarding"]
    return {**owned(stage, found, **{"ext_parent:project_id": stage.cast.project_id}), "floatingip_id": floating}


def conntrack_helper(stage: Stage) -> Prop:
    router = made(stage, "router")["id"]
    body = {"conntrack_helper": {"protocol": "tcp", "port": 21, "helper": "ftp"}}
    found = stage.make("network", f"/routers/{router}/conntrack_helpers", body)["conntrack_helper"]
    return {**owned(stage, found, **{"ext_parent:project_id": stage.cast.project_id}), "router_id": router}


MAKERS = {"/floatingips/{floatingip_id}": port_forwarding, "/routers/{router_id}": conntrack_helper}
