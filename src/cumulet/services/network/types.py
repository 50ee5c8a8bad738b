# SPDX-License-Identifier: Apache-2.0
"""The rows of the network service, and the desired state that the control plane compiles of them for one host."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Route(msgspec.Struct, kw_only=True, frozen=True):
    """`destination` in CIDR form, `nexthop` an address of the same family."""

    destination: str
    nexthop: str


class SubnetState(msgspec.Struct, kw_only=True, frozen=True):
    """A subnet as its DHCP answers need it."""

    id: str
    cidr: str
    version: int = 4
    gateway: str | None = None
    dhcp: bool = True
    dns: list[str] = []
    routes: list[Route] = []


class ServiceState(msgspec.Struct, kw_only=True, frozen=True):
    """The leg on which a network's DHCP and metadata are answered; `addresses` with prefix (`10.0.0.2/24`)."""

    port_id: str
    mac: str
    addresses: list[str]


class NetworkState(msgspec.Struct, kw_only=True, frozen=True):
    """A network that has ports or routers on the host. `mtu` in bytes; `physical` names the network of the
    outside world that it is, if it is one. `segment` is its tunnel's number (VNI), 0 where it has none.

    It spans hosts while the state has remote ports on it. Its `service` answers on each of its hosts alike.
    """

    id: str
    mtu: int
    segment: int = 0
    physical: str | None = None
    subnets: list[SubnetState] = []
    service: ServiceState | None = None


class FixedAddress(msgspec.Struct, kw_only=True, frozen=True):
    """An address of a port on one of its network's subnets, `prefix` bits long."""

    address: str
    prefix: int
    subnet_id: str


class AddressPair(msgspec.Struct, kw_only=True, frozen=True):
    """A further source that a port may use: a MAC (lower case) with an address or CIDR."""

    mac: str
    cidr: str


class PortState(msgspec.Struct, kw_only=True, frozen=True):
    """A server's port bound to the host. Without `security` nothing is filtered and nothing may be in `groups`.

    `name` is the host name that DHCP tells.
    """

    id: str
    network_id: str
    mac: str
    addresses: list[FixedAddress] = []
    pairs: list[AddressPair] = []
    security: bool = True
    groups: list[str] = []
    up: bool = True
    name: str = ""


class RemoteState(msgspec.Struct, kw_only=True, frozen=True):
    """A port of a tunnelled network that is on another host: a server's, or a router's leg. `id` is the port's.

    `endpoint` is the IPv4 address of that host's tunnel; `addresses` have no prefix.
    """

    id: str
    network_id: str
    mac: str
    addresses: list[str] = []
    endpoint: str


class RuleState(msgspec.Struct, kw_only=True, frozen=True):
    """One allowance of a security group.

    `direction` is `ingress` or `egress`, `version` 4 or 6, `protocol` an IP protocol number (None: any). `low`/`high`
    are a port range, or type and code for ICMP. At most one of `remote_cidr` and `remote_group` is set.
    """

    direction: str
    version: int
    protocol: int | None = None
    low: int | None = None
    high: int | None = None
    remote_cidr: str | None = None
    remote_group: str | None = None


class GroupState(msgspec.Struct, kw_only=True, frozen=True):
    """A security group that ports of the host use, or that rules of such a group name as the remote one.

    `members` are the addresses of all its ports in the whole cloud; filled only where a rule needs them.
    """

    id: str
    rules: list[RuleState] = []
    members: list[str] = []


class LegState(msgspec.Struct, kw_only=True, frozen=True):
    """A router's interface; `addresses` with prefix."""

    port_id: str
    network_id: str
    mac: str
    addresses: list[str]


class GatewayState(msgspec.Struct, kw_only=True, frozen=True):
    """A router's way out: its external leg, the default routes' next hops, whether the inside hides behind it (IPv4).

    `nexthops` has at most one of each IP version; `nexthop`, the first of them, is all that hosts of the release before
    know, and what counts where the control plane is of that release and says no `nexthops`.
    """

    leg: LegState
    nexthop: str | None = None
    snat: bool = True
    nexthops: list[str] = []


class FloatingState(msgspec.Struct, kw_only=True, frozen=True):
    """An external address that stands for a fixed one behind the router."""

    address: str
    fixed: str


class RouterState(msgspec.Struct, kw_only=True, frozen=True):
    """A router that runs on the host."""

    id: str
    up: bool = True
    legs: list[LegState] = []
    gateway: GatewayState | None = None
    floating: list[FloatingState] = []
    routes: list[Route] = []


class HostState(msgspec.Struct, kw_only=True, frozen=True):
    """All that one host's network should be.

    A host takes no state whose generation is below the one that it has, unless the `epoch` is another: then the
    control plane's database was begun anew, and counts from the start.
    """

    epoch: str = ""
    generation: int = 0
    networks: list[NetworkState] = []
    ports: list[PortState] = []
    groups: list[GroupState] = []
    routers: list[RouterState] = []
    remotes: list[RemoteState] = []


class HostDelta(msgspec.Struct, kw_only=True, frozen=True):
    """From generation `base` to `generation`: whole objects that are new or changed, and the ids that are gone.

    A port that moves between hosts is gone as a remote one and new as the host's own, or the other way round; so remote
    ports that are gone have a list of their own.
    """

    epoch: str
    base: int
    generation: int
    networks: list[NetworkState] = []
    ports: list[PortState] = []
    groups: list[GroupState] = []
    routers: list[RouterState] = []
    remotes: list[RemoteState] = []
    gone: list[str] = []
    gone_remotes: list[str] = []


class Applied(msgspec.Struct, kw_only=True, frozen=True):
    """What an apply came to: how many changes were needed, and for each object that could not be made, why.

    `ports` are the ids whose device exists behind its rules; `failed` maps an id to a message for the operator.
    """

    generation: int
    changes: int = 0
    ports: list[str] = []
    failed: dict[str, str] = {}


class HostReport(msgspec.Struct, kw_only=True, frozen=True):
    """What a host says of its network when it joins; `ports` and `failed` as in Applied.

    `endpoint` is the address to which other hosts send its tunnels' packets, "" where it takes none; `gateway` says
    whether routers may live there.
    """

    epoch: str = ""
    generation: int = 0
    ports: list[str] = []
    failed: dict[str, str] = {}
    capabilities: dict[str, object] = {}
    endpoint: str = ""
    gateway: bool = True


class Capabilities(msgspec.Struct, kw_only=True, frozen=True):
    """What a fabric can do on this host, found by trying; `missing` maps a feature to what stands in its way."""

    driver: str
    namespaces: bool = True
    bridge_filter: bool = True
    bridge_netfilter: bool = True
    nat: bool = True
    tap: bool = True
    vxlan: bool = False
    egress: bool = False
    missing: dict[str, str] = {}


# Rows. Fields stand in the order of the columns.

FLAT, TUNNEL = "flat", "vxlan"
NETWORK_TYPES = (FLAT, TUNNEL)
ACTIVE, DOWN, BUILD = "ACTIVE", "DOWN", "BUILD"

OWNER_DHCP = "network:dhcp"
OWNER_ROUTER_INTERFACE = "network:router_interface"
OWNER_ROUTER_GATEWAY = "network:router_gateway"
OWNER_FLOATING = "network:floatingip"
OWNER_COMPUTE = "compute:"  # followed by the availability zone


class Network(msgspec.Struct, frozen=True):
    """A network. `segmentation_id` is the tunnel's number, None for flat networks."""

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


class Subnet(msgspec.Struct, frozen=True):
    """A range of addresses of a network. Pools are `{"start", "end"}`, routes `{"destination", "nexthop"}`."""

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


class SubnetPool(msgspec.Struct, frozen=True):
    """Prefixes that subnets are cut from, each prefix length in bits.

    `default_quota` is how much of it one project may hold: addresses for IPv4, /64 networks for IPv6; None: no limit.
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


class Port(msgspec.Struct, frozen=True):
    """A port. `host` is "" while unbound; `made_for_server` marks those that go with their server.

    `position` orders a server's ports; `tag` is compute's own label of the interface.
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


class BoundPort(msgspec.Struct, frozen=True):
    """What a host has to know of a server's port that is bound to it; no row of its own."""

    id: str
    network_id: str
    mac_address: str
    admin_state_up: bool
    status: str
    port_security_enabled: bool
    allowed_address_pairs: list[dict[str, str]]


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


class FarPort(msgspec.Struct, frozen=True):
    """What other hosts have to know of a bound port; no row of its own."""

    id: str
    network_id: str
    mac: str
    host: str


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
    """A router; `host` is where it runs, "" while no host was there to take it."""

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


class SecurityGroup(msgspec.Struct, frozen=True):
    """A set of rules; each project has one that `is_default`."""

    id: str
    project_id: str
    name: str
    is_default: bool
    description: str
    tags: list[str]
    revision_number: int
    created_at: datetime
    updated_at: datetime


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


class Quota(msgspec.Struct, frozen=True):
    """A project's own limit of one resource; -1 is none."""

    project_id: str
    resource: str
    limit: int


class Agent(msgspec.Struct, frozen=True):
    """The network's part on a host. `configurations` are what it said of itself."""

    id: str
    host: str
    admin_state_up: bool
    description: str | None
    configurations: dict[str, Any]
    created_at: datetime
    started_at: datetime
    heartbeat_at: datetime


class Epoch(msgspec.Struct, frozen=True):
    """Names this database to the hosts, so that they know a new one from an old state (see HostState)."""

    id: int
    value: str
