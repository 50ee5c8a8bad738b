# SPDX-License-Identifier: Apache-2.0
"""Settings of networks."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import msgspec

from cumulet.settings.base import Limit, Port, Section

_Bandwidth = Annotated[str, msgspec.Meta(pattern=r"^[^:,]{1,64}(:[0-9]{0,9}:[0-9]{0,9})?$")]
_Mapping = Annotated[str, msgspec.Meta(pattern=r"^[^:,\s]{1,64}:[^:,/\s]{1,64}$")]
_INVENTORY = (
    r"^(allocation_ratio:[0-9]+([.][0-9]+)?|(max_unit|min_unit|step_size):[1-9][0-9]{0,8}|reserved:[0-9]{1,9})$"
)
_Inventory = Annotated[str, msgspec.Meta(pattern=_INVENTORY)]
_VlanRange = Annotated[str, msgspec.Meta(pattern=r"^[^:,\s]{1,64}(:[0-9]{1,4}:[0-9]{1,4})?$")]
_Mapped = Annotated[str, msgspec.Meta(pattern=r"^[^:,\s]{1,64}:[^:/\s]{1,15}$")]
_LAST_VLAN = 4094


class Quotas(Section, frozen=True, kw_only=True):
    """How much of each a project may have that has no limits of its own, -1 for any number; Neutron's defaults.

    `router_route` counts for each router.
    """

    floatingip: Limit = 50
    network: Limit = 100
    port: Limit = 500
    rbac_policy: Limit = 10
    router: Limit = 10
    router_route: Limit = 30
    security_group: Limit = 10
    security_group_rule: Limit = 100
    subnet: Limit = 500
    subnetpool: Limit = -1
    trunk: Limit = -1


class Network(Section, frozen=True, kw_only=True):
    """Networks. The host owns `external_gateway` within `external_cidr`; floating IPs are taken from the allocation.

    What one host sends another leaves from `tunnel_address` (an IPv4 address of the host; default: the one by which it
    reaches the control plane) at UDP port `tunnel_port`; tunnels are numbered out of `segments`. `mtu` is what the
    network between hosts carries, in bytes. `gateway` says whether routers may live on this host: `auto` where the
    control plane runs too. They move to another such host `router_patience` seconds after theirs was taken for dead.
    New routers with several gateways use all their default routes where `enable_default_route_ecmp` is on, and watch
    their next hops by BFD where `enable_default_route_bfd` is.
    With `router_distributed` and `l3_ha`, new routers are so unless an administrator says otherwise. At most
    `max_l3_agents_per_router` hosts (0: all that may) share an HA router, and tell each other at UDP port `ha_port`
    which of them forwards.
    Ports have names of their own in `dns_domain` unless that is empty or `openstacklocal`; guests are told it.
    What networks do not know of names is asked of `dns_servers` (default: those that this host asks).
    `type_drivers` are the kinds of networks that there may be (`cumulet.network.type_drivers`). Physical networks are
    `flat_networks` (`*`: any), or have VLANs: `network_vlan_ranges` says which, and after colons the first and the last
    number of those that are given out. On a host, `physical_interface_mappings` names the device that leads to each.
    `mechanism_drivers` are asked in turn how a host plugs a port in (`cumulet.network.mechanism_drivers`).
    `rootless` says whether the agent keeps all of it in namespaces of its user's: `auto` where it is not root.
    What somebody changed by hand on a host is made good every `repair_interval` seconds (0: never).
    Hosts read what their routers count every `meter_interval` seconds, and tell of it every `meter_report_interval`.
    Packets of security groups are logged to the file `packet_log` (default: in the host's state), `packet_log_rate` of
    them in a second at the most, and `packet_log_burst` at once.
    This host's agents are in `availability_zone`; what names no zone is in one of the control plane's
    `default_availability_zones` (none: in any).
    `egress` lets guests out by pasta; they reach the host's own TCP ports `host_services`. With `external_device`, a
    device that this host can spare, floating IPs are on the network behind it, whose router has `external_gateway`.
    What of bandwidth and packets placement may promise to ports on this host is said as Neutron's agents say it:
    `resource_provider_bandwidths` by physical network (`rp_tunnelled` is what tunnels run over) or network card, as
    `NAME:EGRESS:INGRESS` in kbit/s as guests see it; packet rates in thousands a second, `:RATE` without direction or
    `:EGRESS:INGRESS`, one of the two. What else inventories say: `allocation_ratio:1.0`, `reserved:0`.
    `physical_device_mappings` are this host's network cards that have virtual functions, as `PHYSICAL_NETWORK:DEVICE`.
    A switch in user space has its sockets in `vhostuser_socket_dir`, and the bridges `PHYSICAL_NETWORK:BRIDGE`.
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
    enable_default_route_ecmp: bool = False
    enable_default_route_bfd: bool = False
    router_distributed: bool = False
    l3_ha: bool = False
    max_l3_agents_per_router: Annotated[int, msgspec.Meta(ge=0)] = 3
    ha_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 4799
    dns_domain: Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*\.?)?$")] = "openstacklocal."
    dns_servers: tuple[Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F.:]{2,45}$")], ...] = ()
    type_drivers: tuple[str, ...] = ("flat", "local", "vlan", "vxlan", "gre", "geneve")
    flat_networks: tuple[str, ...] = ("public",)
    network_vlan_ranges: tuple[_VlanRange, ...] = ("public",)
    physical_interface_mappings: tuple[_Mapped, ...] = ()
    mechanism_drivers: tuple[str, ...] = ("vhostuser", "sriov", "fabric")
    rootless: Literal["auto", "yes", "no"] = "auto"
    repair_interval: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    meter_interval: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    meter_report_interval: Annotated[float, msgspec.Meta(ge=0)] = 300.0
    packet_log: str = ""
    packet_log_rate: Annotated[int, msgspec.Meta(ge=100, le=1_000_000)] = 100
    packet_log_burst: Annotated[int, msgspec.Meta(ge=25, le=1_000_000)] = 25
    availability_zone: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] = "nova"
    default_availability_zones: tuple[str, ...] = ()
    egress: bool = True
    host_services: tuple[Port, ...] = ()
    external_device: str = ""
    quotas: Quotas = Quotas()
    resource_provider_bandwidths: tuple[_Bandwidth, ...] = ()
    resource_provider_inventory_defaults: tuple[_Inventory, ...] = ()
    resource_provider_packet_processing_without_direction: Annotated[
        str, msgspec.Meta(pattern=r"^([^:,]{0,255}:[0-9]{0,9})?$")
    ] = ""
    resource_provider_packet_processing_with_direction: Annotated[
        str, msgspec.Meta(pattern=r"^([^:,]{0,255}:[0-9]{0,9}:[0-9]{0,9})?$")
    ] = ""
    resource_provider_packet_processing_inventory_defaults: tuple[_Inventory, ...] = ()
    physical_device_mappings: tuple[_Mapping, ...] = ()
    vhostuser_socket_dir: Annotated[str, msgspec.Meta(pattern=r"^(/[^,\s]{0,80})?$")] = ""
    vhostuser_bridge_mappings: tuple[_Mapping, ...] = ()

    def __post_init__(self) -> None:
        for text in self.network_vlan_ranges:
            _, first, last = [*text.split(":"), "1", "1"][:3]
            if not 1 <= int(first) <= int(last) <= _LAST_VLAN:
                raise ValueError(f"network.network_vlan_ranges: {text} is no range within 1 to {_LAST_VLAN}")

    @property
    def is_apart(self) -> bool:
        """Whether this process's host keeps its networks in namespaces of its user's."""
        return self.driver == "fabric" and (self.rootless == "yes" or (self.rootless == "auto" and os.geteuid() != 0))
