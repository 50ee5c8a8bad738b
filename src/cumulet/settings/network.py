# SPDX-License-Identifier: Apache-2.0
"""Settings of networks."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cumulet.settings.base import Port, Section


class Network(Section, frozen=True, kw_only=True):
    """Networks. The host owns `external_gateway` within `external_cidr`; floating IPs are taken from the allocation.

    What one host sends another leaves from `tunnel_address` (an IPv4 address of the host; default: the one by which it
    reaches the control plane) at UDP port `tunnel_port`; tunnels are numbered out of `segments`. `mtu` is what the
    network between hosts carries, in bytes. `gateway` says whether routers may live on this host: `auto` where the
    control plane runs too. They move to another such host `router_patience` seconds after theirs was taken for dead.
    Ports have names of their own in `dns_domain` unless that is empty or `openstacklocal`; guests are told it.
    `type_drivers` are the kinds of networks that there may be (`cumulet.network.type_drivers`).
    `mechanism_drivers` are asked in turn how a host plugs a port in (`cumulet.network.mechanism_drivers`).
    `rootless` says whether the agent keeps all of it in namespaces of its user's: `auto` where it is not root.
    What somebody changed by hand on a host is made good every `repair_interval` seconds (0: never).
    `egress` lets guests out by pasta; they reach the host's own TCP ports `host_services`. With `external_device`, a
    device that this host can spare, floating IPs are on the network behind it, whose router has `external_gateway`.
    """

    driver: Literal["fabric", "fake"] = "fabric"
    external_cidr: str = "172.24.4.0/24"
    external_gateway: str = "172.24.4.1"
    external_allocation: str = "172.24.4.10-172.24.4.250"
    mtu: Annotated[int, msgspec.Meta(ge=1280, le=65535)] = 1500
    tunnel_address: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{1,3}(\.[0-9]{1,3}){3})?$")] = ""
    tunnel_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 4789
    segments: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,7}-[1-9][0-9]{0,7}$")] = "1-65535"
    gateway: Literal["auto", "yes", "no"] = "auto"
    router_patience: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    dns_domain: Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*\.?)?$")] = "openstacklocal."
    type_drivers: tuple[str, ...] = ("flat", "local", "vxlan")
    mechanism_drivers: tuple[str, ...] = ("vhostuser", "sriov", "fabric")
    rootless: Literal["auto", "yes", "no"] = "auto"
    repair_interval: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    egress: bool = True
    host_services: tuple[Port, ...] = ()
    external_device: str = ""
