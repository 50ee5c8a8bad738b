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


def one_scope(stage: Stage) -> Prop:
    """An external network of an IPv6 address scope, and the pool of more such subnets, for all."""

    def make(kind: str, path: str, **words: object) -> str:
        return str(stage.make("network", path, {kind: words}, "other_admin")[kind]["id"])

    scope = make("address_scope", "/address-scopes", name="six", ip_version=6, shared=True)
    words = {"name": "six", "prefixes": ["2001:db8:b000::/40"], "default_prefixlen": 64, "shared": True}
    pool = make("subnetpool", "/subnetpools", address_scope_id=scope, **words)
    outside = make("network", "/networks", **{"router:external": True})
    make("subnet", "/subnets", network_id=outside, ip_version=6, subnetpool_id=pool)
    return {"id": outside, "pool": pool}


def ndp_proxy(stage: Stage) -> Prop:
    """One on a router between two networks of one address scope."""
    scope = stage.named("network", "one scope")
    inside = made(stage, "network")["id"]
    subnet = made(stage, "subnet", network_id=inside, ip_version=6, subnetpool_id=scope["pool"])["id"]
    gateway = {"external_gateway_info": {"network_id": scope["id"]}, "enable_ndp_proxy": True}
    router = made(stage, "router", **gateway)["id"]
    stage.make("network", f"/routers/{router}/add_router_interface", {"subnet_id": subnet}, "member", "PUT")
    words = {"router_id": router, "port_id": made(stage, "port", network_id=inside)["id"]}
    return owned(stage, stage.make("network", "/ndp-proxies", {"ndp_proxy": words})["ndp_proxy"])


MAKERS = {
    "/floatingips/{floatingip_id}": port_forwarding,
    "/routers/{router_id}": conntrack_helper,
    "/ndp-proxies/{id}": ndp_proxy,
    "/ndp_proxies/{id}": ndp_proxy,
    "one scope": one_scope,
}
