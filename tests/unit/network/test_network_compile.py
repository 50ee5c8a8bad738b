# SPDX-License-Identifier: Apache-2.0
"""Rows to a host's state: what is compiled, and that differences make whole states again."""

from __future__ import annotations

import ipaddress
from datetime import datetime

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.services.network.agent.delta import merge
from cumulet.services.network.drivers.fabric import filters
from cumulet.services.network.logic import addressing
from cumulet.services.network.logic.compile import compile_host, difference, same
from cumulet.services.network.logic.hosting.base import Feature, Snapshot
from cumulet.services.network.types import (
    KINDS,
    Allocation,
    DhcpOption,
    FarPort,
    FloatingIp,
    GatewayState,
    GroupState,
    HostDelta,
    HostState,
    LegState,
    Network,
    NetworkState,
    Port,
    PortState,
    RemoteState,
    Router,
    RouterState,
    RuleState,
    SecurityGroupRule,
    Subnet,
)

NOW = datetime(2026, 11, 21)
TAIL = ("", [], 1, NOW, NOW)


def network(key: str, *, physical: str | None = None, up: bool = True) -> Network:
    kind, segment = ("flat", None) if physical else ("vxlan", 7)
    return Network(
        key, "pr", key, up, False, False, False, 1450, True, kind, None, None, [], *TAIL,
        segment_physical=physical, segment_number=segment,
    )  # fmt: skip


def subnet(key: str, network_id: str, cidr: str) -> Subnet:
    gateway = str(ipaddress.ip_network(cidr)[1])
    return Subnet(
        key, "pr", network_id, "", 4, cidr, gateway, True, [], ["192.0.2.53"], [], None, None, None, [], *TAIL
    )


def port(key: str, network_id: str, owner: str = "compute:nova", *, secure: bool = True, up: bool = True) -> Port:
    pairs = [{"mac_address": "fa:16:3e:00:00:09", "ip_address": "10.0.0.128/25"}] if key == "p1" else []
    return Port(
        key, "pr", network_id, "", f"fa:16:3e:00:00:{len(key):02x}", up, "DOWN", "d", owner, "h", "normal", {}, secure,
        pairs, [], False, 0, None, *TAIL,
    )  # fmt: skip


def rule(key: str, group: str, **words: object) -> SecurityGroupRule:
    values = {
        "direction": "ingress", "ethertype": "IPv4", "protocol": None, "port_range_min": None, "port_range_max": None,
        "remote_ip_prefix": None, "remote_group_id": None, **words,
    }  # fmt: skip
    return SecurityGroupRule(key, "pr", group, *values.values(), "", 1, NOW, NOW)  # type: ignore[arg-type]


def rows() -> Snapshot:
    networks = {one.id: one for one in (network("n1"), network("n9", physical="public"))}
    subnets = {one.id: one for one in (subnet("s1", "n1", "10.0.0.0/24"), subnet("s9", "n9", "198.51.100.0/24"))}
    held = {
        "p1": "10.0.0.5", "dhcp1": "10.0.0.2", "leg1": "10.0.0.1", "gw": "198.51.100.10",
    }  # fmt: skip
    where = {"gw": ("s9", "n9")}
    return Snapshot(
        networks=networks,
        subnets=subnets,
        bound=[port("p1", "n1"), port("stray", "n-unknown")],
        groups_of={"p1": ["g1", "g-unknown"]},
        rules={"g1": [rule("r1", "g1", protocol="icmp"), rule("r2", "g1", remote_group_id="g1")]},
        members={"g1": ["10.0.0.5", "10.0.0.128/25"]},
        routers=[
            Router(
                "rt", "pr", "", True, "ACTIVE", "n9", "gw", True,
                [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}], "h", [], *TAIL,
            )
        ],
        legs={"rt": [port("leg1", "n1", "network:router_interface"), port("gw", "n9", "network:router_gateway")]},
        floating=[
            FloatingIp("f1", "pr", "n9", "fp", "198.51.100.11", "p1", "10.0.0.5", "rt", "ACTIVE", *TAIL),
            FloatingIp("f2", "pr", "n9", "fq", "198.51.100.12", None, None, None, "DOWN", *TAIL),
        ],
        services={"n1": port("dhcp1", "n1", "network:dhcp")},
        allocations={
            key: [Allocation(*(where.get(key, ("s1", "n1"))[:1]), address, key, where.get(key, ("s1", "n1"))[1], 0)]
            for key, address in held.items()
        },
    )  # fmt: skip


def test_a_host_gets_all_that_it_needs():
    state = compile_host(rows())
    assert [one.id for one in state.networks] == ["n1", "n9"]
    assert state.networks[0].service is not None
    assert state.networks[0].service.addresses == ["10.0.0.2/24"]
    assert state.networks[1].physical == "public"
    assert state.networks[1].service is None
    only = state.ports[0]
    assert (only.id, only.groups, only.name) == ("p1", ["g1"], "host-10-0-0-5")
    assert [(one.address, one.prefix) for one in only.addresses] == [("10.0.0.5", 24)]
    assert only.pairs[0].cidr == "10.0.0.128/25"
    assert state.groups[0].members == ["10.0.0.128/25", "10.0.0.5"]
    assert state.groups[0].rules[0] == RuleState(direction="ingress", version=4, protocol=1)


def test_subnets_say_how_guests_come_to_addresses_and_ports_what_dhcp_adds():
    snapshot = rows()
    sixth = subnet("s6", "n1", "2001:db8::/64")
    snapshot.subnets["s6"] = msgspec.structs.replace(
        sixth, ip_version=6, ipv6_ra_mode="slaac", ipv6_address_mode="dhcpv6-stateless"
    )
    option = {"opt_name": "bootfile-name", "opt_value": "x.0", "ip_version": 4}
    snapshot.bound[0] = msgspec.structs.replace(snapshot.bound[0], extra_dhcp_opts=[option])
    state = compile_host(snapshot)
    modes = [(one.ra_mode, one.address_mode) for one in state.networks[0].subnets]
    assert modes == [(None, None), ("slaac", "dhcpv6-stateless")]
    assert state.ports[0].options == [DhcpOption(name="bootfile-name", value="x.0", version=4)]


def test_a_router_knows_the_scopes_of_its_networks():
    snapshot = rows()
    snapshot.more["address_scopes"] = {("n1", 4): "inner", ("n9", 6): "outer"}
    router = compile_host(snapshot).routers[0]
    assert [(leg.scope4, leg.scope6) for leg in router.legs] == [("inner", "")]
    assert router.gateway is not None
    assert (router.gateway.leg.scope4, router.gateway.leg.scope6) == ("", "outer")


def test_a_router_has_legs_a_gateway_and_what_floats():
    router = compile_host(rows()).routers[0]
    assert [leg.addresses for leg in router.legs] == [["10.0.0.1/24"]]
    assert router.gateway is not None
    assert (router.gateway.leg.addresses, router.gateway.nexthop) == (["198.51.100.10/24"], "198.51.100.1")
    assert [(one.address, one.fixed) for one in router.floating] == [("198.51.100.11", "10.0.0.5")]
    assert router.routes[0].nexthop == "10.0.0.9"


def test_a_gateway_has_a_next_hop_of_each_ip_version():
    snapshot = rows()
    for key, address, cidr in (("s6", "2001:db8::10", "2001:db8::/64"), ("s7", "2001:db8:7::10", "2001:db8:7::/64")):
        snapshot.subnets[key] = msgspec.structs.replace(subnet(key, "n9", cidr), ip_version=6)
        snapshot.allocations["gw"].insert(0, Allocation(key, address, "gw", "n9", 0))
    gateway = compile_host(snapshot).routers[0].gateway
    assert gateway.nexthops == ["198.51.100.1", "2001:db8:7::1"]
    assert gateway.nexthop == "198.51.100.1"


def test_hosts_and_control_planes_of_the_release_before_are_understood():
    class Before(msgspec.Struct, kw_only=True):
        leg: LegState
        nexthop: str | None = None
        snat: bool = True

    leg = LegState(port_id="gw", network_id="n9", mac="fa:16:3e:00:00:02", addresses=["198.51.100.10/24"])
    gateway = GatewayState(leg=leg, nexthop="198.51.100.1", nexthops=["198.51.100.1", "2001:db8::1"])
    assert msgspec.json.decode(msgspec.json.encode(gateway), type=Before).nexthop == "198.51.100.1"
    told = msgspec.json.decode(msgspec.json.encode(Before(leg=leg, nexthop="198.51.100.1")), type=GatewayState)
    assert (told.nexthop, told.nexthops) == ("198.51.100.1", [])


def test_kinds_are_all_that_states_and_differences_hold():
    names = [kind.name for kind in KINDS]
    assert names == [name for name in HostState.__struct_fields__ if name not in ("epoch", "generation")]
    lists = {*names, *(kind.gone for kind in KINDS)}
    assert lists == set(HostDelta.__struct_fields__) - {"epoch", "base", "generation"}


def test_kinds_that_one_side_does_not_know_do_not_stop_the_other():
    more = [("wonders", list[NetworkState], msgspec.field(default_factory=list))]
    newer = msgspec.defstruct("Newer", more, bases=(HostState,), kw_only=True)
    newer_delta = msgspec.defstruct("NewerDelta", more, bases=(HostDelta,), kw_only=True)

    class Older(msgspec.Struct, kw_only=True):
        epoch: str = ""
        generation: int = 0
        networks: list[NetworkState] = []

    state = compile_host(rows())
    words = {name: getattr(state, name) for name in HostState.__struct_fields__}
    wonder = NetworkState(id="w1", mtu=1)
    told = msgspec.msgpack.encode(newer(**words, wonders=[wonder]))
    assert msgspec.convert(msgspec.msgpack.decode(told), HostState) == state
    news = msgspec.to_builtins(newer_delta(epoch="e", base=0, generation=1, wonders=[wonder], gone=["w2"]))
    assert merge(state, msgspec.convert(news, HostDelta)) == msgspec.structs.replace(state, epoch="e", generation=1)
    short = msgspec.to_builtins(Older(networks=state.networks))
    assert msgspec.convert(short, HostState) == HostState(networks=state.networks)


def test_a_feature_adds_to_the_state(monkeypatch):
    class Wonders(Feature):
        def add(self, rows, state):
            return msgspec.structs.replace(state, ports=[], generation=rows.more["wonders"])

    monkeypatch.setattr("cumulet.services.network.logic.compile.FEATURES", (Wonders(),))
    snapshot = rows()
    snapshot.more["wonders"] = 7
    assert (compile_host(snapshot).ports, compile_host(snapshot).generation) == ([], 7)


def test_what_is_switched_off_is_down():
    snapshot = rows()
    snapshot.networks["n1"] = network("n1", up=False)
    state = compile_host(snapshot)
    assert not state.ports[0].up
    assert state.networks[0].service is None


def test_rows_that_are_not_there_yet_are_no_harm():
    snapshot = rows()
    snapshot.allocations = {}
    snapshot.subnets = {}
    snapshot.rules = {}
    state = compile_host(snapshot)
    assert state.ports[0].addresses == []
    assert state.ports[0].groups == []
    assert state.routers[0].legs == []
    assert state.routers[0].gateway is None


def test_ports_on_other_hosts_are_told_with_the_ends_of_their_tunnels():
    snapshot = rows()
    snapshot.far = [FarPort("p7", "n1", "fa:16:3e:00:00:07", "h2"), FarPort("p8", "n1", "fa:16:3e:00:00:08", "h3")]
    snapshot.far_addresses = {"p7": ["10.0.0.7"], "dhcp1": ["10.0.0.2"]}
    snapshot.endpoints = {"h2": "198.18.0.2", "h3": ""}
    assert compile_host(snapshot).remotes == [
        RemoteState(id="p7", network_id="n1", mac="fa:16:3e:00:00:07", addresses=["10.0.0.7"], endpoint="198.18.0.2")
    ], "a host without an end of tunnels cannot be reached"


KEYS = st.sets(st.sampled_from("abcdef"))
MEMBERS = st.lists(st.just("10.0.0.1"), max_size=1)


@st.composite
def states(draw: st.DrawFn) -> HostState:
    return HostState(
        epoch="e",
        generation=draw(st.integers(0, 9)),
        networks=[NetworkState(id=f"n{key}", mtu=draw(st.sampled_from([1400, 1500]))) for key in sorted(draw(KEYS))],
        ports=[
            PortState(id=f"p{key}", network_id="n", mac="m", up=draw(st.booleans())) for key in sorted(draw(KEYS))
        ],
        groups=[GroupState(id=f"g{key}", members=draw(MEMBERS)) for key in sorted(draw(KEYS))],
        routers=[RouterState(id=f"r{key}", up=draw(st.booleans())) for key in sorted(draw(KEYS))],
        remotes=[
            RemoteState(id=f"p{key}", network_id="n", mac="m", endpoint=f"198.18.0.{draw(st.integers(1, 2))}")
            for key in sorted(draw(KEYS))
        ],
    )  # fmt: skip


@settings(deadline=None)
@given(states(), states())
def test_a_difference_makes_the_new_state_of_the_old_one(old: HostState, new: HostState):
    assert merge(old, difference(old, new)) == new
    assert same(old, new) == same(new, old)
    nothing = difference(new, new)
    assert (nothing.networks, nothing.ports, nothing.groups, nothing.routers, nothing.gone) == ([], [], [], [], [])
    assert (nothing.remotes, nothing.gone_remotes) == ([], [])


@given(st.integers(0, 2**32 - 1), st.integers(8, 30), st.booleans())
def test_default_pools_hold_every_host_but_the_gateway(base: int, length: int, with_gateway: bool):
    cidr = str(ipaddress.ip_network((base, length), strict=False))
    gateway = str(ipaddress.ip_network(cidr)[1]) if with_gateway else None
    pools = addressing.default_pools(cidr, gateway)
    assert addressing.size(pools) == 2 ** (32 - length) - 2 - with_gateway
    assert addressing.check_pools(pools, cidr, gateway) == pools
    first = next(iter(addressing.window(pools, 0, 1)), None)
    assert first is None or addressing.is_host(first, cidr)
    assert first is None or first != gateway


@given(st.lists(st.integers(1, 40), max_size=4), st.integers(0, 120), st.integers(1, 50))
def test_a_window_is_a_part_of_all_addresses(sizes: list[int], start: int, length: int):
    pools = [{"start": f"10.0.{at}.9", "end": f"10.0.{at}.{8 + size}"} for at, size in enumerate(sizes)]
    everything = [f"10.0.{at}.{9 + number}" for at, size in enumerate(sizes) for number in range(size)]
    assert addressing.window(pools, start, length) == everything[start : start + length]


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=6))
def test_sources_never_overlap_in_the_filter(pairs: list[tuple[int, int]]):
    cidrs = [str(ipaddress.ip_network((f"10.0.0.{last}", length), strict=False)) for last, length in pairs]
    own = [one for cidr in cidrs for one in ipaddress.ip_network(cidr)]
    found = filters._disjoint(ipaddress.ip_network(cidr) for cidr in cidrs)
    ranges = [[ipaddress.ip_address(end) for end in text.split("-")] for text in found]
    covered = [value for one in ranges for value in range(int(one[0]), int(one[-1]) + 1)]
    assert sorted(covered) == sorted({int(one) for one in own})


def test_a_rule_of_nobody_is_left_out():
    assert filters.rule_text(RuleState(direction="ingress", version=4, remote_group="gone"), {}) is None


def test_a_rule_that_comes_twice_is_one():
    everybody = RuleState(direction="ingress", version=4, protocol=6)
    near = msgspec.structs.replace(everybody, remote_cidr="10.0.0.0/8")
    group = GroupState(id="g", rules=[everybody, everybody, near, near])
    parts = filters._group_parts(group, {"g": group})
    assert parts.chains["i-g"] == (
        "ether type ip meta l4proto 6 accept",
        "ether type ip ip saddr { 10.0.0.0-10.255.255.255 } meta l4proto 6 accept",
    )
