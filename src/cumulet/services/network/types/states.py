# SPDX-License-Identifier: Apache-2.0
"""The desired state that the control plane compiles for one host, and what the host says of it."""

from __future__ import annotations

import msgspec

from cumulet.services.network.types.local_ips import LocalIpState
from cumulet.services.network.types.meters import MeterState
from cumulet.services.network.types.packet_logs import PacketLogState
from cumulet.services.network.types.plugs import PlugState


class Route(msgspec.Struct, kw_only=True, frozen=True):
    """`destination` in CIDR form, `nexthop` an address of the same family."""

    destination: str
    nexthop: str


class SubnetState(msgspec.Struct, kw_only=True, frozen=True):
    """A subnet as its DHCP answers and router advertisements need it.

    `ra_mode` and `address_mode` are those of an IPv6 subnet: `slaac`, `dhcpv6-stateful`, `dhcpv6-stateless` or None.
    """

    id: str
    cidr: str
    version: int = 4
    gateway: str | None = None
    dhcp: bool = True
    dns: list[str] = []
    routes: list[Route] = []
    ra_mode: str | None = None
    address_mode: str | None = None


class ServiceState(msgspec.Struct, kw_only=True, frozen=True):
    """The leg on which a network's DHCP and metadata are answered; `addresses` with prefix (`10.0.0.2/24`)."""

    port_id: str
    mac: str
    addresses: list[str]


class VlanState(msgspec.Struct, kw_only=True, frozen=True):
    """The frames of the network of the outside world called `physical` that have the tag `number`."""

    physical: str
    number: int


class NetworkState(msgspec.Struct, kw_only=True, frozen=True):
    """A network that has ports or routers on the host. `mtu` in bytes; `physical` names the network of the
    outside world that it is, if it is one, and `vlan` the part of one. `segment` is its tunnel's number (VNI), 0 where
    it has none.

    It spans hosts while the state has remote ports on it. Its `service` answers on each of its hosts alike. `domain` is
    the one of its ports' names in DNS, without dots at its ends, "" for none.
    """

    id: str
    mtu: int
    segment: int = 0
    physical: str | None = None
    subnets: list[SubnetState] = []
    service: ServiceState | None = None
    vlan: VlanState | None = None
    domain: str = ""


class FixedAddress(msgspec.Struct, kw_only=True, frozen=True):
    """An address of a port on one of its network's subnets, `prefix` bits long."""

    address: str
    prefix: int
    subnet_id: str


class AddressPair(msgspec.Struct, kw_only=True, frozen=True):
    """A further source that a port may use: a MAC (lower case) with an address or CIDR."""

    mac: str
    cidr: str


class DhcpOption(msgspec.Struct, kw_only=True, frozen=True):
    """What DHCP tells one port beside all else, of IP `version` 4 or 6; `name` and `value` as dnsmasq takes them."""

    name: str
    value: str
    version: int = 4


class ShapeState(msgspec.Struct, kw_only=True, frozen=True):
    """A QoS rule that a port, or an external address, is held to, its `type` one of `types.qos`.

    `rate` is kilobits or kilopackets per second, and `burst` as many of them at once (0: as many as suit the rate); for
    a mark, `rate` is the DSCP value. `direction` is `egress` for what is sent from there, `ingress` for what comes.
    """

    type: str
    direction: str
    rate: int
    burst: int = 0


class TrunkState(msgspec.Struct, kw_only=True, frozen=True):
    """A place in a trunk: the guest of the port `parent` sends and gets the frames with the tag `number`."""

    parent: str
    number: int


class PortState(msgspec.Struct, kw_only=True, frozen=True):
    """A server's port bound to the host. Without `security` nothing is filtered and nothing may be in `groups`.

    `name` is the host name that DHCP tells, `options` what it tells besides. `dns` is the port's whole name in DNS,
    without its final dot; "" where its addresses alone give it one. A subport has a `trunk`, and
    no device that a hypervisor could open.
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
    shapes: list[ShapeState] = []
    options: list[DhcpOption] = []
    dns: str = ""
    logs: list[PacketLogState] = []
    local_ips: list[LocalIpState] = []
    trunk: TrunkState | None = None


class RemoteState(msgspec.Struct, kw_only=True, frozen=True):
    """A port of a tunnelled network that is on another host: a server's, or a router's leg. `id` is the port's.

    `endpoint` is the IPv4 address of that host's tunnel; `addresses` have no prefix; `dns` is as in PortState. A leg of
    a router that is on several hosts names it (`router`) and the tunnels of the others (`standbys`): where it is now,
    they say themselves. The router's own hosts have such remotes of its legs too.
    """

    id: str
    network_id: str
    mac: str
    addresses: list[str] = []
    endpoint: str
    router: str = ""
    standbys: list[str] = []
    dns: str = ""


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

    `members` are the addresses of all its ports in the whole cloud; filled only where a rule needs them. The groups of
    a port are all `stateful`, or none is: then every packet needs a rule, answers too.
    """

    id: str
    rules: list[RuleState] = []
    members: list[str] = []
    stateful: bool = True


class LegState(msgspec.Struct, kw_only=True, frozen=True):
    """A router's interface; `addresses` with prefix.

    `scope4` and `scope6` are the address scopes of its network, "" for none: packets of other scopes are not forwarded
    to it, unless an address is translated, and those of its own are not translated.
    """

    port_id: str
    network_id: str
    mac: str
    addresses: list[str]
    scope4: str = ""
    scope6: str = ""


class GatewayState(msgspec.Struct, kw_only=True, frozen=True):
    """A router's way out: its external leg, the default routes' next hops, whether the inside hides behind it (IPv4).

    `nexthops` has at most one of each IP version; `nexthop`, the first of them, is all that hosts of the release before
    know, and what counts where the control plane is of that release and says no `nexthops`.
    """

    leg: LegState
    nexthop: str | None = None
    snat: bool = True
    nexthops: list[str] = []

    @property
    def hops(self) -> list[str]:
        """The next hops, whoever told of them."""
        return self.nexthops or ([self.nexthop] if self.nexthop is not None else [])


def gateway_on(ways: list[GatewayState], network_id: str) -> str:
    """What the addresses of an external network have for `gateway` (see FloatingState) at a router with these."""
    found = next((way.leg.port_id for way in ways if way.leg.network_id == network_id), "")
    return "" if ways and found == ways[0].leg.port_id else found


class FloatingState(msgspec.Struct, kw_only=True, frozen=True):
    """An external address that stands for a fixed one behind the router.

    `gateway` is the port of the gateway whose network it belongs to, "" where that is the first one's.
    """

    address: str
    fixed: str
    gateway: str = ""


class ForwardState(msgspec.Struct, kw_only=True, frozen=True):
    """Ports of an external address that lead to ports of a fixed one behind the router; all of them inclusive.

    `protocol` is `tcp`, `udp`, `sctp` or `dccp`. The ports `low` to `high` lead to as many of `fixed`, or all to one.
    `gateway` is a FloatingState's.
    """

    address: str
    protocol: str
    low: int
    high: int
    fixed: str
    fixed_low: int
    fixed_high: int
    gateway: str = ""


class HelperState(msgspec.Struct, kw_only=True, frozen=True):
    """A router reads along with the helper of this name in connections to the port, whose `protocol` is tcp or udp."""

    name: str
    protocol: str
    port: int


class HaState(msgspec.Struct, kw_only=True, frozen=True):
    """Hosts that share a router, one of which forwards: the tunnels' addresses of `others`.

    `rank` is this host's place in the order in which they take over. `active`: it forwards here, as far as the control
    plane has heard; the hosts agree on that among themselves.
    """

    rank: int
    others: list[str] = []
    active: bool = False


class DistributedState(msgspec.Struct, kw_only=True, frozen=True):
    """A router that is on all hosts with ports on its networks. What leaves by source NAT does so on the `central` one.

    `snat` are the central host's further legs, one on each network, by which the others send that there. `outside` are
    the networks (CIDRs) of a gateway that has none but floating addresses here.
    """

    central: bool = False
    snat: list[LegState] = []
    outside: list[str] = []


class RouterState(msgspec.Struct, kw_only=True, frozen=True):
    """A router that runs on the host, or, with `ha`, stands by there.

    What leaves by a default route takes the first gateway's, or, with `ecmp`, that of any of its gateways; but what
    belongs to an external address, or to a connection that came in, leaves by the gateway of that. Of several
    routes to one destination all are taken.

    With `bfd`, a default route counts only while BFD (RFC 5880) hears its next hop; where the first gateway's does
    not, the next one's counts in its place. `silent` are the next hops that are not heard: hosts know them, and
    the control plane never says so.

    `shapes` are what its external addresses, floating or its own, are held to; those of "" are for all that passes the
    gateway. `proxied` are the IPv6 addresses inside for which the router answers its neighbours outside; unless it is
    None, no others are reached from there. It counts for each of its `meters`.
    """

    id: str
    up: bool = True
    legs: list[LegState] = []
    gateway: GatewayState | None = None
    floating: list[FloatingState] = []
    routes: list[Route] = []
    forwards: list[ForwardState] = []
    shapes: dict[str, list[ShapeState]] = {}
    helpers: list[HelperState] = []
    proxied: list[str] | None = None
    meters: list[MeterState] = []
    more_gateways: list[GatewayState] = []
    ecmp: bool = False
    bfd: bool = False
    silent: list[str] = []
    ha: HaState | None = None
    distributed: DistributedState | None = None

    @property
    def gateways(self) -> list[GatewayState]:
        """All ways out, the first one first."""
        return [*([self.gateway] if self.gateway is not None else []), *self.more_gateways]

    @property
    def every_leg(self) -> list[LegState]:
        """Its legs inside and outside."""
        snat = self.distributed.snat if self.distributed is not None and self.distributed.central else []
        return [*self.legs, *snat, *(way.leg for way in self.gateways)]

    def gateway_of(self, external: FloatingState | ForwardState) -> GatewayState | None:
        """The gateway that an external address belongs to."""
        return next((each for each in self.gateways if each.leg.port_id == external.gateway), self.gateway)


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
    plugs: list[PlugState] = []


class HostDelta(msgspec.Struct, kw_only=True, frozen=True):
    """From generation `base` to `generation`: whole objects that are new or changed, and the ids that are gone.

    A port that moves between hosts is gone as a remote one and new as the host's own, or the other way round; so remote
    ports that are gone have a list of their own, and so have those that are plugged in elsewhere than in the fabric.
    """

    epoch: str
    base: int
    generation: int
    networks: list[NetworkState] = []
    ports: list[PortState] = []
    groups: list[GroupState] = []
    routers: list[RouterState] = []
    remotes: list[RemoteState] = []
    plugs: list[PlugState] = []
    gone: list[str] = []
    gone_remotes: list[str] = []
    gone_plugs: list[str] = []


class StateKind(msgspec.Struct, frozen=True):
    """A list of objects by id that HostState and HostDelta have under the same `name`.

    `word` is what people call one of them. `gone` is the list of HostDelta with the ids of those that are no more;
    kinds share one unless the same id may go in one of them and come in another.
    """

    name: str
    word: str
    gone: str = "gone"


# All that is sent to hosts, compared, merged and audited. A host that does not know a kind yet leaves it out; one that
# a control plane of the release before does not send is empty.
KINDS = (
    StateKind("networks", "network"),
    StateKind("ports", "port"),
    StateKind("groups", "security group"),
    StateKind("routers", "router"),
    StateKind("remotes", "port on another host", gone="gone_remotes"),
    StateKind("plugs", "port beside the fabric", gone="gone_plugs"),
)


class Applied(msgspec.Struct, kw_only=True, frozen=True):
    """What an apply came to: how many changes were needed, and for each object that could not be made, why.

    `ports` are the ids whose device exists behind its rules; `failed` maps an id to a message for the operator. `left`
    are the ports that the state before had.
    """

    generation: int
    changes: int = 0
    ports: list[str] = []
    failed: dict[str, str] = {}
    left: list[str] = []


class Layer(msgspec.Struct, kw_only=True, frozen=True):
    """One of the things on a host that a port's packets need: whether it is as it should be, in words for people."""

    name: str
    sound: bool
    words: str


class HostReport(msgspec.Struct, kw_only=True, frozen=True):
    """What a host says of its network when it joins; `ports` and `failed` as in Applied.

    `endpoint` is the address to which other hosts send its tunnels' packets, "" where it takes none; `gateway` says
    whether routers may live there. `offers` are ways out of the host and devices for ports besides the fabric's, under
    the names that Neutron's agents give them in their configurations: `bridge_mappings` (what leads to each physical
    network), `device_mappings` (names of network cards by physical network), `vhostuser_socket_dir`. `active` are
    the ids of the routers that it shares with others and that forward there.
    `availability_zone` is that of all its agents.
    """

    epoch: str = ""
    generation: int = 0
    ports: list[str] = []
    failed: dict[str, str] = {}
    capabilities: dict[str, object] = {}
    endpoint: str = ""
    gateway: bool = True
    offers: dict[str, object] = {}
    active: list[str] = []
    availability_zone: str = "nova"


class Capabilities(msgspec.Struct, kw_only=True, frozen=True):
    """What a fabric can do on this host, found by trying; `missing` maps a feature to what stands in its way.

    `network_types` are kinds of networks that it carries besides those that every host does. `qos_rules` are the types
    of QoS rules that it holds ports to, `helpers` the conntrack helpers that it has, each with its protocol. `tags` is
    what puts VLAN tags on frames and takes them off, for networks and trunks: `8021q` or `bpf`, "" where nothing can.
    `ha`: it agrees with others on which of them forwards for a router. `distributed`: it has its part of such routers.
    """

    driver: str
    namespaces: bool = True
    bridge_filter: bool = True
    bridge_netfilter: bool = True
    nat: bool = True
    tap: bool = True
    vxlan: bool = False
    egress: bool = False
    network_types: list[str] = []
    qos_rules: list[str] = []
    helpers: list[str] = []
    ha: bool = False
    tags: str = ""
    distributed: bool = False
    missing: dict[str, str] = {}
