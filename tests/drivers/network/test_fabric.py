# SPDX-License-Identifier: Apache-2.0
"""What every network engine must do, asked with packets."""

from __future__ import annotations

import os
import socket
import uuid

import msgspec
import pytest
from network_labs import BRIEF, FabricLab, Lab, eventually, is_inner, listen, ping

from cumulet.kernel.errors import NotFound
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import (
    AddressPair,
    FixedAddress,
    FloatingState,
    GatewayState,
    GroupState,
    HostState,
    LegState,
    NetworkState,
    PortState,
    Route,
    RouterState,
    RuleState,
    ServiceState,
    SubnetState,
)

NET1, NET2, PUBLIC = (str(uuid.uuid4()) for _ in range(3))
A, B, C = (str(uuid.uuid4()) for _ in range(3))
OPEN, CLOSED = (str(uuid.uuid4()) for _ in range(2))
ROUTER = str(uuid.uuid4())
SUBNET1, SUBNET2 = (str(uuid.uuid4()) for _ in range(2))
FLOATING_A, FLOATING_C, OUTSIDE = "198.18.4.21", "198.18.4.22", "198.18.4.1"
OTHER_MAC = "fa:16:3e:aa:aa:aa"

EGRESS = RuleState(direction="egress", version=4)
ICMP = RuleState(direction="ingress", version=4, protocol=1)
SSH = RuleState(direction="ingress", version=4, protocol=6, low=22, high=22, remote_cidr="0.0.0.0/0")
FRIENDS = RuleState(direction="ingress", version=4, remote_group=OPEN)


def port(key: str, network: str, subnet: str, address: str, groups: list[str]) -> PortState:
    mac = f"fa:16:3e:00:00:{int(address.rpartition('.')[2]):02x}"
    fixed = [FixedAddress(address=address, prefix=24, subnet_id=subnet)]
    return PortState(id=key, network_id=network, mac=mac, addresses=fixed, groups=groups, name=f"vm{address[-2:]}")


def network(key: str, subnet: str, number: int) -> NetworkState:
    prefix = f"10.{number}.0"
    return NetworkState(
        id=key,
        mtu=1450,
        segment=number,
        subnets=[
            SubnetState(
                id=subnet, cidr=f"{prefix}.0/24", gateway=f"{prefix}.1", dns=["192.0.2.53"],
                routes=[Route(destination="192.0.2.0/25", nexthop=f"{prefix}.9")],
            )
        ],
        service=ServiceState(port_id=str(uuid.uuid4()), mac=f"fa:16:3e:00:0{number}:02", addresses=[f"{prefix}.2/24"]),
    )  # fmt: skip


def leg(key: str, number: int) -> LegState:
    return LegState(
        port_id=str(uuid.uuid4()), network_id=key, mac=f"fa:16:3e:00:0{number}:01", addresses=[f"10.{number}.0.1/24"]
    )


GATEWAY = GatewayState(
    leg=LegState(port_id=str(uuid.uuid4()), network_id=PUBLIC, mac="fa:16:3e:00:09:01", addresses=["198.18.4.10/24"]),
    nexthop=OUTSIDE,
)
STATE = HostState(
    generation=1,
    networks=[
        network(NET1, SUBNET1, 1),
        network(NET2, SUBNET2, 2),
        NetworkState(id=PUBLIC, mtu=1500, physical="public"),
    ],
    ports=[
        port(A, NET1, SUBNET1, "10.1.0.11", [OPEN]),
        port(B, NET1, SUBNET1, "10.1.0.12", [OPEN]),
        port(C, NET2, SUBNET2, "10.2.0.13", [CLOSED]),
    ],
    groups=[
        GroupState(id=OPEN, rules=[EGRESS, ICMP, SSH, FRIENDS], members=["10.1.0.11", "10.1.0.12"]),
        GroupState(id=CLOSED, rules=[EGRESS]),
    ],
    routers=[
        RouterState(
            id=ROUTER,
            legs=[leg(NET1, 1), leg(NET2, 2)],
            gateway=GATEWAY,
            floating=[
                FloatingState(address=FLOATING_A, fixed="10.1.0.11"),
                FloatingState(address=FLOATING_C, fixed="10.2.0.13"),
            ],
        )
    ],
)


def changed(key: str, **words: object) -> HostState:
    """STATE with one port different, as the next generation."""
    ports = [msgspec.structs.replace(one, **words) if one.id == key else one for one in STATE.ports]
    return msgspec.structs.replace(STATE, generation=2, ports=ports)


def started(lab: Lab, *keys: str) -> Lab:
    applied = lab.apply(STATE)
    assert applied.failed == {}
    for key in keys:
        lab.boot(key)
    return lab


def test_neighbours_talk_and_strangers_do_not(lab: Lab):
    started(lab, A, B, C)
    assert lab.fabric.report().ports == sorted([A, B, C])
    assert lab.ping(A, "10.1.0.12")
    assert lab.ping(B, "10.1.0.11")
    assert lab.ping(B, "10.1.0.1"), "the router"
    assert lab.ping(B, "10.1.0.2"), "the network's services"
    assert lab.ping(C, "10.1.0.11"), "routed, allowed by the rule for ICMP"
    assert not lab.ping(A, "10.2.0.13", tries=1), "no rule lets anything in"
    assert not lab.tcp(A, "10.2.0.13", 22, patience=BRIEF)
    assert lab.tcp(A, "10.1.0.12", 8080), "members of the remote group may"
    assert not lab.tcp(C, "10.1.0.11", 8080, patience=BRIEF), "others may not"
    assert lab.tcp(C, "10.1.0.11", 22)


def test_senders_cannot_pretend(lab: Lab):
    started(lab, A, B)
    assert not lab.ping(B, "10.1.0.11", source="10.1.0.99", tries=1)
    assert not lab.ping(B, "10.1.0.11", mac=OTHER_MAC, tries=1)
    lab.apply(changed(B, pairs=[AddressPair(mac="fa:16:3e:00:00:0c", cidr="10.1.0.96/28")]))
    assert lab.ping(B, "10.1.0.11", source="10.1.0.99"), "an allowed address pair"
    lab.apply(changed(B, security=False, groups=[]))
    assert lab.ping(B, "10.1.0.11", source="10.1.0.98"), "port security is off"


def test_the_outside_is_reached_and_reaches_floating_addresses(lab: Lab):
    started(lab, A, B, C)
    assert lab.ping(None, FLOATING_A)
    assert lab.tcp(None, FLOATING_A, 22)
    assert not lab.tcp(None, FLOATING_A, 8080, patience=BRIEF)
    assert not lab.ping(None, FLOATING_C, tries=1)
    assert lab.ping(B, FLOATING_A), "hairpin: a neighbour by its floating address"
    assert lab.tcp(C, FLOATING_A, 22), "from another network, with a floating address of its own"


def test_source_nat_leads_to_the_host(lab: Lab):
    if not isinstance(lab, FabricLab):
        pytest.skip("the outside world is the kernel's")
    started(lab, B)
    assert lab.ping(B, OUTSIDE)
    with lab.host.visit(lambda: listen(9999)):
        assert not lab.tcp(B, OUTSIDE, 9999, patience=BRIEF), "guests reach no service of the host"


def test_what_hides_behind_source_nat_is_not_reached_by_a_route(lab: Lab):
    if not isinstance(lab, FabricLab):
        pytest.skip("the outside world is the kernel's")
    started(lab, A)

    def learn_route() -> None:
        with Links() as links:
            cable = next(name for name in links.devices if name.startswith("cml"))
            links.routes({"10.1.0.0/24": ("198.18.4.10", cable)})

    lab.host.visit(learn_route)
    assert not lab.ping(None, "10.1.0.11", tries=1)
    assert lab.ping(None, FLOATING_A)
    gateway = msgspec.structs.replace(GATEWAY, snat=False)
    routed = msgspec.structs.replace(STATE.routers[0], gateway=gateway, floating=[])
    lab.apply(msgspec.structs.replace(STATE, generation=2, routers=[routed]))
    assert lab.ping(None, "10.1.0.11"), "without source NAT the inside is routed"


def test_a_router_behind_a_router_answers_past_it(lab: Lab):
    """The outer one hears what goes in, and none of the answers, for the inner one is the guest's neighbour."""
    inner = LegState(port_id=str(uuid.uuid4()), network_id=NET1, mac="fa:16:3e:00:08:01", addresses=["10.1.0.254/24"])
    outer = RouterState(
        id=ROUTER, legs=[leg(NET1, 1)], gateway=GATEWAY, routes=[Route(destination="10.2.0.0/24", nexthop="10.1.0.254")]
    )
    behind = RouterState(
        id=str(uuid.uuid4()),
        legs=[inner, leg(NET2, 2)],
        routes=[Route(destination="0.0.0.0/0", nexthop="10.1.0.1")],
    )
    ports = [msgspec.structs.replace(one, groups=[OPEN]) for one in STATE.ports]
    assert lab.apply(msgspec.structs.replace(STATE, ports=ports, routers=[outer, behind])).failed == {}
    lab.boot(A)
    lab.boot(C)
    assert lab.ping(A, "10.2.0.13")
    assert lab.tcp(A, "10.2.0.13", 22)
    assert lab.tcp(C, "10.1.0.11", 22)


def test_a_floating_address_moves(lab: Lab):
    started(lab, A, B)
    assert lab.ping(None, FLOATING_A)
    moved = msgspec.structs.replace(STATE.routers[0], floating=[FloatingState(address=FLOATING_A, fixed="10.1.0.12")])
    lab.apply(msgspec.structs.replace(STATE, generation=2, routers=[moved]))
    assert lab.tcp(None, FLOATING_A, 22)
    lab.apply(msgspec.structs.replace(STATE, generation=3, routers=[msgspec.structs.replace(moved, floating=[])]))
    assert not lab.ping(None, FLOATING_A, tries=1)


def test_a_router_is_switched_off_and_on(lab: Lab):
    started(lab, A)
    off = msgspec.structs.replace(STATE.routers[0], up=False)
    lab.apply(msgspec.structs.replace(STATE, generation=2, routers=[off]))
    assert not lab.ping(None, FLOATING_A, tries=1)
    lab.apply(msgspec.structs.replace(STATE, generation=3))
    assert lab.ping(None, FLOATING_A)
    assert lab.ping(A, OUTSIDE) or not isinstance(lab, FabricLab)
    assert lab.fetch(A, "/x") is not None


def test_metadata_is_reached_where_there_is_no_router(lab: Lab):
    lone = network(NET1, SUBNET1, 1)
    lone = msgspec.structs.replace(lone, subnets=[msgspec.structs.replace(lone.subnets[0], gateway=None, routes=[])])
    alone = msgspec.structs.replace(changed(A), networks=[lone], ports=STATE.ports[:2], routers=[])
    assert lab.apply(alone).failed == {}
    lab.boot(A)
    lease = lab.lease(A)
    assert lease is not None
    assert lease["routes"] == bytes([32, 169, 254, 169, 254, 10, 1, 0, 2]), "its services, and nothing else"
    if isinstance(lab, FabricLab):
        lab.guests[A].space.visit(lambda: lead("169.254.169.254/32", "10.1.0.2"))
    assert lab.fetch(A, "/openstack") == (200, f"{NET1} 10.1.0.11 /openstack")


def lead(destination: str, hop: str) -> None:
    """Take over a route that DHCP told of, as a guest does."""
    with Links() as links:
        links.routes({destination: (hop, "eth0")})


def test_dhcp_tells_what_the_subnet_says(lab: Lab):
    started(lab, A)
    lease = lab.lease(A)
    assert lease is not None
    assert (lease["address"], lease["prefix"], lease["gateway"]) == ("10.1.0.11", 24, "10.1.0.1")
    assert (lease["mtu"], lease["dns"], lease["name"]) == (1450, ["192.0.2.53"], "vm11")
    assert bytes([32, 169, 254, 169, 254, 10, 1, 0, 2]) in lease["routes"]
    assert bytes([25, 192, 0, 2, 0, 10, 1, 0, 9]) in lease["routes"]
    assert bytes([0, 10, 1, 0, 1]) in lease["routes"]


def test_metadata_knows_who_asks(lab: Lab):
    started(lab, A, C)
    assert lab.fetch(A, "/openstack") == (200, f"{NET1} 10.1.0.11 /openstack"), "by the router"
    assert lab.fetch(C, "/latest/x") == (200, f"{NET2} 10.2.0.13 /latest/x")
    assert lab.fetch(C, "/missing") == (404, "")
    assert lab.post(A, "/openstack/latest/password", "secret") == (200, f"{NET1} 10.1.0.11 secret")
    assert lab.post(A, "/openstack/latest/password", "x" * 1021) == (400, "")
    assert lab.post(A, "/elsewhere", "x") == (404, "")


def test_the_same_state_twice_changes_nothing(lab: Lab):
    started(lab, A)
    assert lab.apply(STATE).changes == 0
    if isinstance(lab, FabricLab):
        lab.restart()
        assert lab.apply(STATE).changes == 0, "a new agent finds all as it should be"
        assert lab.fabric.report().ports == [A]
        assert lab.fetch(A, "/x") is not None


def test_rules_change_under_running_ports(lab: Lab):
    started(lab, A, C)
    assert not lab.tcp(A, "10.2.0.13", 22, patience=BRIEF)
    opened = [STATE.groups[0], GroupState(id=CLOSED, rules=[EGRESS, SSH])]
    lab.apply(msgspec.structs.replace(STATE, generation=2, groups=opened))
    assert lab.tcp(A, "10.2.0.13", 22)
    lab.apply(msgspec.structs.replace(STATE, generation=3))
    assert not lab.tcp(A, "10.2.0.13", 22, patience=BRIEF)


def test_what_leaves_the_state_leaves_the_host(lab: Lab):
    started(lab, A, B)
    smaller = HostState(generation=2, networks=[STATE.networks[0]], ports=[STATE.ports[1]], groups=STATE.groups)
    lab.apply(smaller)
    assert lab.fabric.report().ports == [B]
    assert not lab.ping(A, "10.1.0.12", tries=1)
    assert lab.apply(smaller).changes == 0
    lab.apply(HostState(generation=3))
    assert eventually(lambda: [name for name in lab.leftovers() if is_inner(name)] == [])


def test_a_tap_needs_a_binding(lab: Lab, monkeypatch):
    monkeypatch.setattr("cumulet.services.network.drivers.fake.PATIENCE", 0.05)
    monkeypatch.setattr("cumulet.services.network.drivers.fabric.engine.PATIENCE", 0.05)
    started(lab)
    with pytest.raises(NotFound):
        lab.fabric.open_tap(str(uuid.uuid4()))


def test_a_closed_tap_is_gone_and_may_be_opened_again(lab: Lab):
    started(lab)
    handle = lab.fabric.open_tap(A)
    assert lab.fabric.report().ports == [A]
    os.close(handle)
    lab.fabric.close_tap(A)
    assert lab.fabric.report().ports == []
    os.close(lab.fabric.open_tap(A))


def test_a_tap_of_several_queues_is_opened_several_times(lab: Lab):
    started(lab)
    handles = [lab.fabric.open_tap(A, multi_queue=True) for _ in range(3)]
    assert lab.fabric.report().ports == [A]
    for handle in handles:
        os.close(handle)
    lab.fabric.close_tap(A)
    os.close(lab.fabric.open_tap(A))


def test_a_disabled_port_stays_silent(lab: Lab):
    started(lab, A, B)
    lab.apply(changed(A, up=False))
    assert not lab.ping(B, "10.1.0.11", tries=1)
    assert lab.fabric.report().ports == [B]


def test_one_bad_group_does_not_harm_others(lab: Lab):
    if not isinstance(lab, FabricLab):
        pytest.skip("only nftables refuses rules")
    broken = RuleState(direction="ingress", version=4, protocol=6, low=9, high=1)
    groups = [STATE.groups[0], GroupState(id=CLOSED, rules=[EGRESS, broken])]
    applied = lab.apply(msgspec.structs.replace(STATE, groups=groups))
    assert list(applied.failed) == [CLOSED]
    lab.boot(A)
    lab.boot(B)
    assert lab.ping(A, "10.1.0.12")
    assert not lab.ping(None, FLOATING_C, tries=1)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps")
def test_floating_addresses_are_on_the_network_behind_a_device():
    lab = FabricLab(devices={"public": "nic0"})
    outside = Namespace(f"lab-{lab.mark}-world")
    outside.create()

    def configure() -> None:
        with Links() as links:
            links.settle("port0")
            links.addresses("port0", [f"{OUTSIDE}/24"])

    def lay() -> None:
        with Links() as links:
            links.cable("nic0", "port0", outside)

    try:
        assert "nic0" in lab.apply(STATE).failed[PUBLIC], "it says which device is not there"
        lab.host.visit(lay)
        outside.visit(configure)
        lab.apply(msgspec.structs.replace(STATE, generation=2))
        lab.restart()
        started(lab, A, B)
        assert outside.visit(lambda: ping(FLOATING_A))
        assert lab.ping(B, OUTSIDE)
        assert lab.host.visit(devices) == {"lo"}
        lab.host.visit(lab.fabric.shutdown)
        assert lab.host.visit(devices) == {"lo", "nic0"}, "given back"
    finally:
        lab.close()
        outside.delete()


def devices() -> set[str]:
    return {name for _, name in socket.if_nameindex()}
