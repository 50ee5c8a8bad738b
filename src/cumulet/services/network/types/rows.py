# SPDX-License-Identifier: Apache-2.0
"""The rows of the network service; fields stand in the order of the columns."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

FLAT, LOCAL, TUNNEL, VLAN = "flat", "local", "vxlan", "vlan"
PHYSICAL = "public"  # the network of the outside world that the fabric joins to the host itself
ACTIVE, DOWN, BUILD, ERROR = "ACTIVE", "DOWN", "BUILD", "ERROR"
NOT_APPLICABLE = "N/A"  # of the ports that hold floating IPs: they are plugged in nowhere

OWNER_DHCP = "network:dhcp"
OWNER_ROUTER_INTERFACE = "network:router_interface"
OWNER_HA_INTERFACE = "network:ha_router_replicated_interface"
OWNER_DISTRIBUTED_INTERFACE = "network:router_interface_distributed"
OWNERS_INSIDE = (OWNER_ROUTER_INTERFACE, OWNER_HA_INTERFACE, OWNER_DISTRIBUTED_INTERFACE)
OWNER_ROUTER_GATEWAY = "network:router_gateway"
OWNER_CENTRAL_SNAT = "network:router_centralized_snat"
OWNER_FLOATING = "network:floatingip"
IMMEDIATE, DEFERRED, UNADDRESSED = "immediate", "deferred", "none"  # how a port came to its addresses

OWNER_COMPUTE = "compute:"  # followed by the availability zone
OWNER_SUBPORT = "trunk:subport"


class Network(msgspec.Struct, frozen=True):
    """A network.

    What carries it are its segments, which have a table of their own. The row says how many they are, and of the first
    its type, physical network and number (None where it has none): `network_type`, `segment_physical` and
    `segment_number`; and whether subnets are on single ones of them (`routed`). `physical_network` and
    `segmentation_id` are what the release before knows of that: they are unique whatever the type, and only flat
    networks and tunnels have them.

    Of the RBAC policies on it, the row says whether one shares it with everybody (`shared`), whether some name a single
    project (`granted`), and whether it is external for those alone (`limited`). `dhcp_served` is False while no DHCP
    agent hosts it. `zones` are the availability zones in which it may be hosted (none: any).
    """

    id: str
    project_id: str
    name: str
    admin_state_up: bool
    shared: bool
    external: bool
    is_default: bool
    mtu: int
    port_security_enabled: bool
    network_type: str
    physical_network: str | None
    segmentation_id: int | None
    availability_zone_hints: list[str]
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime
    granted: bool = False
    limited: bool = False
    qos_policy_id: str | None = None
    dhcp_served: bool = True
    dns_domain: str = ""
    segment_count: int = 1
    segment_physical: str | None = None
    segment_number: int | None = None
    vlan_transparent: bool = False
    qinq: bool = False
    routed: bool = False
    zones: list[str] = []


class Subnet(msgspec.Struct, frozen=True):
    """A range of addresses of a network, or of one segment of it.

    Pools are `{"start", "end"}`, routes `{"destination", "nexthop"}`.
    """

    id: str
    project_id: str
    network_id: str
    name: str
    ip_version: int
    cidr: str
    gateway_ip: str | None
    enable_dhcp: bool
    allocation_pools: list[dict[str, str]]
    dns_nameservers: list[str]
    host_routes: list[dict[str, str]]
    ipv6_ra_mode: str | None
    ipv6_address_mode: str | None
    subnetpool_id: str | None
    service_types: list[str]
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime
    dns_publish_fixed_ip: bool = False
    segment_id: str | None = None


class SubnetPool(msgspec.Struct, frozen=True):
    """Prefixes that subnets are cut from, each prefix length in bits.

    `default_quota` is how much of it one project may hold: addresses for IPv4, /64 networks for IPv6; None: no limit.
    `shared` and `granted` are a network's.
    """

    id: str
    project_id: str
    name: str
    ip_version: int
    prefixes: list[str]
    default_prefixlen: int
    min_prefixlen: int
    max_prefixlen: int
    default_quota: int | None
    is_default: bool
    shared: bool
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime
    address_scope_id: str | None = None
    granted: bool = False


class Port(msgspec.Struct, frozen=True):
    """A port. `host` is "" while unbound; `made_for_server` marks those that go with their server.

    `position` orders a server's ports; `tag` is compute's own label of the interface. `trusted` is None where nobody
    said; `data_plane_status` is what others measured, None where nobody did. `trunk_id` is the trunk that the port is
    in, as its parent or as a subport. `vif_type` and `vif_details` are what a driver said of the port on its host; None
    while it is unbound, and for what is on a bridge without being asked.
    """

    id: str
    project_id: str
    network_id: str
    name: str
    mac_address: str
    admin_state_up: bool
    status: str
    device_id: str
    device_owner: str
    host: str
    vnic_type: str
    profile: dict[str, Any]
    port_security_enabled: bool
    allowed_address_pairs: list[dict[str, str]]
    extra_dhcp_opts: list[dict[str, Any]]
    made_for_server: bool
    position: int
    tag: str | None
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime
    qos_policy_id: str | None = None
    trunk_id: str | None = None
    numa_affinity_policy: str | None = None
    device_profile: str | None = None
    hints: dict[str, Any] | None = None
    hardware_offload_type: str | None = None
    trusted: bool | None = None
    data_plane_status: str | None = None
    propagate_uplink_status: bool = True
    vif_type: str | None = None
    vif_details: dict[str, Any] | None = None
    dns_name: str = ""
    dns_domain: str = ""
    ip_allocation: str = "immediate"


class BoundPort(msgspec.Struct, frozen=True):
    """What a host has to know of a server's port, or subport, that is bound to it; no row of its own."""

    id: str
    network_id: str
    mac_address: str
    admin_state_up: bool
    status: str
    port_security_enabled: bool
    allowed_address_pairs: list[dict[str, str]]
    extra_dhcp_opts: list[dict[str, Any]]
    dns_name: str = ""
    qos_policy_id: str | None = None
    vnic_type: str = "normal"
    profile: dict[str, Any] = {}
    trusted: bool | None = None
    vif_type: str | None = None
    vif_details: dict[str, Any] | None = None
    trunk_id: str | None = None


class ServerPort(msgspec.Struct, frozen=True):
    """What compute is told of a server's port; no row of its own."""

    id: str
    network_id: str
    mac_address: str
    status: str
    device_id: str
    host: str
    port_security_enabled: bool
    made_for_server: bool
    tag: str | None
    vnic_type: str = "normal"
    vif_type: str | None = None
    vif_details: dict[str, Any] | None = None


class FarPort(msgspec.Struct, frozen=True):
    """What other hosts have to know of a bound port; no row of its own."""

    id: str
    network_id: str
    mac: str
    host: str
    device_id: str = ""
    device_owner: str = ""
    dns_name: str = ""


class Allocation(msgspec.Struct, frozen=True):
    """An address that a port holds. `position` orders the addresses of one port."""

    subnet_id: str
    address: str
    port_id: str
    network_id: str
    position: int


class Membership(msgspec.Struct, frozen=True):
    """A port in a security group."""

    port_id: str
    security_group_id: str


class Router(msgspec.Struct, frozen=True):
    """A router; `host` is where it runs, "" while no host was there to take it.

    `more_gateways` are those beside the first one, each `{"network_id", "port_id"}`, in the order in which they came.
    One that is `ha` runs there now, and stands by on the other hosts of its places (`types.ha`).
    """

    id: str
    project_id: str
    name: str
    admin_state_up: bool
    status: str
    gateway_network_id: str | None
    gateway_port_id: str | None
    enable_snat: bool
    routes: list[dict[str, str]]
    host: str
    availability_zone_hints: list[str]
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime
    gateway_qos_policy_id: str | None = None
    enable_ndp_proxy: bool = False
    flavor_id: str | None = None
    more_gateways: list[dict[str, str]] = []
    enable_default_route_ecmp: bool = False
    ha: bool = False
    distributed: bool = False
    zones: list[str] = []
    enable_default_route_bfd: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether hosts agree on the one that forwards; what a distributed one has in one place, it has on one host."""
        return self.ha and not self.distributed

    @property
    def gateway_ports(self) -> list[str]:
        """The ports of all its gateways, the first one's first."""
        first = [self.gateway_port_id] if self.gateway_port_id is not None else []
        return first + [each["port_id"] for each in self.more_gateways]

    @property
    def gateway_networks(self) -> list[str]:
        """The networks that its gateways are on, in the same order."""
        first = [self.gateway_network_id] if self.gateway_network_id is not None else []
        return first + [each["network_id"] for each in self.more_gateways]


class FloatingIp(msgspec.Struct, frozen=True):
    """An external address; `port_id` and `fixed_ip_address` say for whom it stands, `router_id` who translates."""

    id: str
    project_id: str
    floating_network_id: str
    floating_port_id: str
    floating_ip_address: str
    port_id: str | None
    fixed_ip_address: str | None
    router_id: str | None
    status: str
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime
    qos_policy_id: str | None = None
    dns_name: str = ""
    dns_domain: str = ""


class SecurityGroup(msgspec.Struct, frozen=True):
    """A set of rules; each project has one that `is_default`.

    Where it is not `stateful`, answers need rules of their own. `shared` and `granted` are a network's.
    """

    id: str
    project_id: str
    name: str
    is_default: bool
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime
    shared: bool = False
    granted: bool = False
    stateful: bool = True


class SecurityGroupRule(msgspec.Struct, frozen=True):
    """One allowance. `protocol` is a name or a number as the caller spelled it, None for any."""

    id: str
    project_id: str
    security_group_id: str
    direction: str
    ethertype: str
    protocol: str | None
    port_range_min: int | None
    port_range_max: int | None
    remote_ip_prefix: str | None
    remote_group_id: str | None
    description: str
    revision_number: int
    created_at: datetime
    updated_at: datetime
    remote_address_group_id: str | None = None


class Quota(msgspec.Struct, frozen=True):
    """A project's own limit of one resource; -1 is none."""

    project_id: str
    resource: str
    limit: int


class Agent(msgspec.Struct, frozen=True):
    """The network's part on a host. `configurations` are what it said of itself.

    `resources_synced` says whether placement knows what it may promise; None where it has nothing to promise.
    """

    id: str
    host: str
    admin_state_up: bool
    description: str | None
    configurations: dict[str, Any]
    created_at: datetime
    started_at: datetime
    heartbeat_at: datetime
    resources_synced: bool | None = None
    availability_zone: str = "nova"


class Epoch(msgspec.Struct, frozen=True):
    """Names this database to the hosts, so that they know a new one from an old state (see HostState)."""

    id: int
    value: str
