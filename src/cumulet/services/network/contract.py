# SPDX-License-Identifier: Apache-2.0
"""What other services may ask: of the host part (`HostPorts`) and in the control plane (`NetworkContract`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, runtime_checkable

import msgspec

from cumulet.kernel.context import Context

# The kernel's opaque transaction, and what a store can read from (a transaction or a snapshot).
Tx: TypeAlias = Any
Source: TypeAlias = Any


class PortRequest(msgspec.Struct, kw_only=True, frozen=True):
    """One interface that a server asks for: a port that exists, or a network on which to make one.

    `address` is the fixed IPv4 or IPv6 address that is wanted there (only with `network_id`). `tag` is compute's own.
    `automatic` names neither: the project's only network, or one that is made for it (see `create_ports`).
    """

    network_id: str | None = None
    port_id: str | None = None
    address: str | None = None
    tag: str | None = None
    automatic: bool = False


class Route(msgspec.Struct, kw_only=True, frozen=True):
    """A static route: `destination` in CIDR form, `nexthop` an address."""

    destination: str
    nexthop: str


class SubnetInfo(msgspec.Struct, kw_only=True, frozen=True):
    """What a guest has to know of a subnet to configure itself (`network_data.json`)."""

    id: str
    cidr: str
    version: int
    gateway: str | None
    dhcp: bool
    dns: list[str]
    routes: list[Route]


class AddressInfo(msgspec.Struct, kw_only=True, frozen=True):
    """A fixed address of a port, with the floating addresses that lead to it."""

    address: str
    prefix: int
    subnet: SubnetInfo
    floating: list[str] = []


class PortInfo(msgspec.Struct, kw_only=True, frozen=True):
    """A port as compute sees it. `network_name` is the label in a server's `addresses`; `mtu` is in bytes.

    `host` is "" while unbound; `status` is ACTIVE, DOWN or BUILD. `made_for_server` says that the port was made by
    `create_ports` and goes away with its server. `security_groups` are ids. `asks_resources` is said by `create_ports`
    alone: whether the port asks placement for anything (`resource_requests`). `is_device` says that it is no tap but a
    PCI device of the host, or a tap on one; `socket` where it is a switch's in user space.
    """

    id: str
    network_id: str
    network_name: str
    mac: str
    mtu: int
    status: str
    host: str
    addresses: list[AddressInfo]
    security_groups: list[str]
    made_for_server: bool
    port_security: bool = True
    tag: str | None = None
    asks_resources: bool = False
    is_device: bool = False
    socket: str = ""


class ResourceGroup(msgspec.Struct, kw_only=True, frozen=True):
    """Amounts by resource class that one provider is to give, and the traits that it must have."""

    resources: dict[str, int]
    required: list[str]


class DeviceWish(msgspec.Struct, kw_only=True, frozen=True):
    """The PCI device that a port is to be: `whole`, or a virtual function, of a card on the physical network.

    With `tap` the guest gets a tap on it, not the device. `card` is the one network device that it has to be of, where
    that is settled already: another would not keep what placement promised. `policy` says how near the guest's NUMA
    nodes it has to be, None where nobody said.
    """

    physical_network: str
    whole: bool = False
    tap: bool = False
    policy: str | None = None
    card: str = ""


class ResourceRequest(msgspec.Struct, kw_only=True, frozen=True):
    """What a port asks of its host.

    `groups` by their ids are asked of placement, all of whose providers stand below one of them.
    """

    port_id: str
    groups: dict[str, ResourceGroup]
    device: DeviceWish | None = None


class GivenDevice(msgspec.Struct, kw_only=True, frozen=True):
    """The PCI device that a port is: its address, `8086:10ed`, and the MAC that a whole card has, "" where unknown."""

    address: str
    vendor_info: str
    mac: str = ""


class GroupInfo(msgspec.Struct, kw_only=True, frozen=True):
    """A security group as compute's proxies show it."""

    id: str
    name: str


class GroupRule(msgspec.Struct, kw_only=True, frozen=True):
    """A rule of a security group that lets something in.

    `protocol` is a name or a number, None for any; `low` and `high` are ports, or type and code of ICMP. It lets in
    `remote_cidr` or the members of a group, or anyone. `id` is "" for a rule that has yet to be made.
    """

    id: str = ""
    group_id: str
    protocol: str | None = None
    low: int | None = None
    high: int | None = None
    remote_cidr: str | None = None
    remote_group_id: str | None = None
    remote_group_name: str | None = None
    remote_group_project_id: str | None = None


class GroupDetails(msgspec.Struct, kw_only=True, frozen=True):
    """A security group with the rules that let something in, for compute's proxies."""

    id: str
    name: str
    project_id: str
    description: str
    rules: list[GroupRule]


class NetworkUsage(msgspec.Struct, kw_only=True, frozen=True):
    """Limits (-1: none) and use of a project, for compute's `limits`."""

    floating_ips: int
    floating_ips_used: int
    security_groups: int
    security_groups_used: int
    security_group_rules: int
    ports: int
    ports_used: int


class NetworkName(msgspec.Struct, kw_only=True, frozen=True):
    """A network as compute's older API shows it."""

    id: str
    name: str


class FloatingInfo(msgspec.Struct, kw_only=True, frozen=True):
    """A floating address as compute's older API shows it: `pool` is its network, `server_id` whom it leads to."""

    id: str
    address: str
    pool: NetworkName
    fixed_address: str | None
    server_id: str | None


class PortToBind(msgspec.Struct, kw_only=True, frozen=True):
    """A port that is to be plugged in on `host`: what the network's drivers are asked about it.

    `vnic_type` and `profile` are as its owner has them, the network's type, physical network and number (None where it
    has none) as in the API. `offers` are what the host said of itself, the `configurations` of its agent.
    """

    id: str
    host: str
    vnic_type: str
    profile: dict[str, Any]
    network_type: str
    physical_network: str | None
    segmentation_id: int | None
    offers: dict[str, Any]


class Vif(msgspec.Struct, kw_only=True, frozen=True):
    """How the port is plugged in there: the API's `vif_type`, and its `vif_details` but for the driver's name."""

    kind: str
    details: dict[str, Any]


class MechanismDriver(Protocol):
    """Says how ports are plugged in on hosts (`network.mechanism_drivers`). Other packages may bring such drivers.

    `vnic_types` are those that it is asked about at all.
    """

    vnic_types: frozenset[str]

    def bind(self, port: PortToBind) -> Vif | None:
        """How the host takes the port; None where it has not what that needs. Asks nothing and nobody else."""


@runtime_checkable
class TagDriver(Protocol):
    """A MechanismDriver that has a word on tags that guests put on their frames."""

    def carries(self, feature: str, network_types: list[str]) -> bool | None:
        """Whether tags pass networks of segments of these types; None where that is for other drivers to say.

        `feature` is the network's attribute: `vlan_transparent`, or `qinq` (a tag of 802.1ad outside). One driver at
        least has to say so, and none may deny it.
        """


class ProviderSegment(msgspec.Struct, kw_only=True, frozen=True):
    """What is asked of a network's carrier: `provider:physical_network`, `provider:segmentation_id`.

    `known` are the physical networks that there may be networks of the kind on; `*` among them: on any.
    """

    physical_network: str | None
    segmentation_id: int | None
    known: frozenset[str] = frozenset()


class TypeDriver(Protocol):
    """A kind of network (`provider:network_type`, `network.type_drivers`). Other packages may bring such drivers.

    `overhead` are the bytes that its packets need on their way besides their own. `numbers` are those that its networks
    can have, none where they have no numbers. Where not `everywhere`, a host that is there must say that it carries the
    kind (`Capabilities.network_types`) before there can be such networks.
    """

    overhead: int
    numbers: range
    everywhere: bool

    def refuse(self, segment: ProviderSegment) -> str | None:
        """Why there can be no such network of the kind; numbers out of `numbers` are refused by whoever asks."""


PASSWORD_LIMIT = 1020  # bytes: an RSA-encrypted password as guests post it


class MetadataQuery(msgspec.Struct, kw_only=True, frozen=True):
    """What the network's host part asks the control plane by the verb `compute.metadata`.

    A guest at `address` on `network_id` wants `path`, such as `/openstack/latest/meta_data.json`; or it posts its
    encrypted password there (`posted`, PASSWORD_LIMIT bytes at most).
    """

    network_id: str
    address: str
    path: str
    posted: str | None = None


class MetadataAnswer(msgspec.Struct, kw_only=True, frozen=True):
    """The answer to it: `status` 200 or 404, the media type without parameters, the bytes. Compute renders it."""

    status: int
    media_type: str = "text/plain"
    body: bytes = b""


class HostPorts(Protocol):
    """On a host: the network ends of ports, for the hypervisor."""

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        """A file descriptor of the port's tap device (Ethernet frames with a virtio-net header in front).

        Of a `multi_queue` one each descriptor is a pair of queues of its own, beside those that are open already.

        The device lies behind the port's security rules from its first moment. The caller owns the descriptor, passes
        it to the hypervisor and closes its own copy. Idempotent: a new descriptor of the same device; the device must
        not be in use by a running hypervisor. Raises NotFound where the port is not bound to this host.
        """

    def close_tap(self, port_id: str) -> None:
        """The hypervisor is gone: the port's device goes as well. Nothing happens where there is none."""


class NetworkContract(Protocol):
    """In the control plane: what compute asks.

    Errors are the kernel's; their `code` is the name of Neutron's or Nova's exception for the case
    (NetworkNotFound, PortNotFound, PortInUse, NetworkAmbiguous, FixedIpNotFoundForNetwork, FixedIpAlreadyInUse,
    NoMoreFixedIps, SecurityGroupNotFound, NoUniqueMatch, PortLimitExceeded, ExternalNetworkAttachForbidden,
    PortRequiresFixedIP). All verbs are synchronous; those that take `tx` run inside the caller's commit.
    """

    def check(
        self, ctx: Context, requests: list[PortRequest] | None, security_groups: list[str] | None = None
    ) -> list[PortRequest]:
        """Validate what a new server asks for, without changing anything; the answer is the requests made definite.

        `requests` None means that the caller named nothing: the project's only network is taken, no network where there
        is none, NetworkAmbiguous (409) where there are several. An `automatic` request stays so where the project has
        no network and one can be made for it; UnableToAutoAllocateNetwork (400) else. `security_groups` are names or
        ids of the project.
        """

    def create_ports(
        self,
        tx: Tx,
        ctx: Context,
        *,
        server_id: str,
        host: str,
        availability_zone: str,
        requests: list[PortRequest],
        security_groups: list[str] | None = None,
        hostname: str = "",
    ) -> list[PortInfo]:
        """Make or take over one port per request, in order, owned by `server_id` (device_owner `compute:<zone>`).

        `host` may be "" where it is not known yet (see `bind`). Quota is counted here. Without `security_groups` the
        project's default group is used. Ports that the user made keep their own groups. `hostname` is the server's,
        which its ports are called in DNS. For `automatic` requests the project gets a network, if it has none yet, in
        the same commit.
        """

    def resource_requests(self, source: Source, server_id: str) -> list[ResourceRequest]:
        """What the server's ports ask of its host, in the order of attachment; most ask for nothing."""

    def on_cards(
        self, requests: list[ResourceRequest], providers: Mapping[str, str], given: Mapping[str, str]
    ) -> list[ResourceRequest]:
        """The requests, with the cards that ports' devices have to be of where `given` providers serve their groups.

        `providers` are the names of a host's, by their uuids.
        """

    def held_for_ports(self, source: Source, server_ids: list[str]) -> dict[str, dict[str, dict[str, int]]]:
        """What each server holds in placement for its ports: amounts by provider and class; most hold nothing."""

    def withdraw_host(self, tx: Tx, host: str) -> None:
        """The host is forgotten: placement has nothing of it any more that ports could ask for."""

    def bind(
        self,
        tx: Tx,
        port_ids: list[str],
        host: str,
        given: Mapping[str, str] = MappingProxyType({}),
        devices: Mapping[str, GivenDevice] = MappingProxyType({}),
    ) -> None:
        """Say on which host the ports are from now on; `host` "" takes the binding away.

        `given` are the providers that serve the groups which the ports ask for, by the groups' ids, `devices` those
        that ports are, by the ports' ids.
        Raises Conflict (PortBindingFailed) where the host is there and has not what a port's vnic type needs.
        """

    def converge(self, host: str, timeout: float = 30.0) -> None:
        """Block until `host` applied all that was committed before this call; NotReady after `timeout` seconds."""

    def nudge(self, host: str) -> None:
        """Ask for the same without waiting: after a server's ports were released."""

    def release_server(self, tx: Tx, server_id: str) -> None:
        """The server goes: delete the ports made for it, unbind and free those that its user made. Idempotent."""

    def release_ports(self, tx: Tx, server_id: str, port_ids: list[str]) -> None:
        """The same for some interfaces of the server, which holds nothing for them in placement any more."""

    def ports_of(self, source: Source, server_ids: list[str]) -> dict[str, list[PortInfo]]:
        """The ports of each server in the order of attachment; servers without ports are absent."""

    def ports_and_groups_of(
        self, source: Source, server_ids: list[str]
    ) -> tuple[dict[str, list[PortInfo]], dict[str, list[GroupInfo]]]:
        """What `ports_of` and `security_groups_of` tell, looked up together."""

    def port(self, source: Source, ctx: Context, port_id: str) -> PortInfo:
        """One port that the caller may see. Raises NotFound."""

    def security_groups_of(self, source: Source, server_ids: list[str]) -> dict[str, list[GroupInfo]]:
        """The groups on each server's ports, each once, sorted by name."""

    def add_security_group(self, tx: Tx, ctx: Context, server_id: str, name: str) -> None:
        """Put the group (name or id) on all ports of the server that have addresses and port security."""

    def remove_security_group(self, tx: Tx, ctx: Context, server_id: str, name: str) -> None:
        """Take it off again. Raises NotFound where no port has it."""

    def add_address(self, tx: Tx, ctx: Context, server_id: str, network_id: str) -> None:
        """One fixed address more for the server's first port on the network. Raises NotFound, Conflict (none free)."""

    def remove_address(self, tx: Tx, ctx: Context, server_id: str, address: str) -> None:
        """Take a fixed address off the server. Raises Invalid where no port has it, Conflict while it is floating."""

    def default_security_group(self, tx: Tx, project_id: str) -> GroupInfo:
        """The project's group `default`, made with its rules where it does not exist yet."""

    def security_groups(self, ctx: Context, *, everywhere: bool = False) -> list[GroupDetails]:
        """The groups of the caller's project, or of all; a project that looks at its groups gets its `default`."""

    def security_group(self, source: Source, ctx: Context, group_id: str) -> GroupDetails:
        """One group that the caller may see. Raises NotFound."""

    def security_group_details(self, source: Source, group_ids: list[str]) -> list[GroupDetails]:
        """The groups of these ids, whoever asks."""

    def create_security_group(self, tx: Tx, ctx: Context, name: str, description: str) -> GroupDetails:
        """A new group of the caller's project. Raises Conflict (OverQuota, SecurityGroupDefaultAlreadyExists)."""

    def change_security_group(self, tx: Tx, ctx: Context, group_id: str, name: str, description: str) -> GroupDetails:
        """Change a group that the caller may see. Raises NotFound, Conflict (SecurityGroupCannotUpdateDefault)."""

    def delete_security_group(self, tx: Tx, ctx: Context, group_id: str) -> None:
        """Remove it. Raises NotFound, Conflict (SecurityGroupInUse, SecurityGroupCannotRemoveDefault)."""

    def add_security_group_rule(self, tx: Tx, ctx: Context, wanted: GroupRule) -> GroupRule:
        """Make a rule. Raises NotFound (either group), Conflict (SecurityGroupRuleExists, OverQuota), Invalid."""

    def delete_security_group_rule(self, tx: Tx, ctx: Context, rule_id: str) -> None:
        """Remove a rule that the caller may see. Raises NotFound."""

    def server_by_address(self, source: Source, network_id: str, address: str) -> str | None:
        """The server that has `address` on the network, for the metadata service."""

    def usage(self, source: Source, project_id: str) -> NetworkUsage:
        """Limits and use of the project."""


class OlderNetworks(Protocol):
    """In the control plane: networks and floating addresses as compute's older API lists and changes them."""

    def networks(self, source: Source, ctx: Context, *, external: bool | None = None) -> list[NetworkName]:
        """The networks that the caller sees, oldest first; with `external` those that lead outside, or do not."""

    def network(self, source: Source, ctx: Context, network_id: str) -> NetworkName:
        """One of them. Raises NotFound."""

    def floating_ips(self, source: Source, ctx: Context, *, address: str | None = None) -> list[FloatingInfo]:
        """The floating addresses of the caller's project, or that one of them."""

    def floating_ip(self, source: Source, ctx: Context, floating_id: str) -> FloatingInfo:
        """One that the caller may see. Raises NotFound."""

    def create_floating_ip(self, tx: Tx, ctx: Context, network_id: str) -> FloatingInfo:
        """A new one for the caller's project. Raises Conflict (OverQuota, IpAddressGenerationFailure)."""

    def delete_floating_ip(self, tx: Tx, ctx: Context, floating_id: str) -> None:
        """Give it back, whomever it leads to. Raises NotFound."""

    def lead_floating_ip(
        self, tx: Tx, ctx: Context, floating_id: str, server_id: str | None, fixed_address: str | None = None
    ) -> None:
        """Let it lead to the server's fixed address, the first where none is named, or (`server_id` None) nowhere.

        Raises NotFound, Invalid, Conflict.
        """
