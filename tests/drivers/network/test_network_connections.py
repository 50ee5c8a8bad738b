# SPDX-License-Identifier: Apache-2.0
"""Standing connections end with what allowed them, and go on where their port goes, on every engine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import msgspec
import pytest
from network_labs import FabricLab, Lab, eventually
from network_pairs import FabricPair, FakePair, Pair
from test_fabric import SSH
from test_network_two_hosts import FIRST, PORT_A, PORT_B, SECOND, A, B, far

from cumulet.services.network.drivers.fabric import conntrack, names, nft, translated
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import (
    AddressPair,
    FloatingState,
    ForwardState,
    GroupState,
    HostState,
    RuleState,
)

OUT, KEPT, OTHER = (f"{name}-0000-of-connections" for name in ("out", "kept", "other"))
EGRESS = RuleState(direction="egress", version=4)
WEB = RuleState(direction="ingress", version=4, protocol=6, low=8080, high=8080)
PING = RuleState(direction="ingress", version=4, protocol=1)
ANY = RuleState(direction="ingress", version=4, protocol=6)
FLOATING = "198.18.4.31"


def group(key: str, *rules: RuleState, members: list[str] | None = None) -> GroupState:
    return GroupState(id=key, rules=list(rules), members=members or [])


def both(generation: int, groups: list[GroupState], b_in: list[str], **more: object) -> HostState:
    """A and B on one host: A may do all, B what its groups let in."""
    near = msgspec.structs.replace(PORT_A, groups=[OUT])
    asked = msgspec.structs.replace(PORT_B, groups=b_in)
    return msgspec.structs.replace(
        FIRST, generation=generation, networks=[FIRST.networks[0], FIRST.networks[2]], ports=[near, asked], remotes=[],
        groups=groups, **more,
    )  # fmt: skip


@pytest.fixture
def begun(lab: Lab) -> Lab:
    groups = [group(OUT, EGRESS), group(KEPT, EGRESS, WEB), group(OTHER, SSH)]
    assert lab.apply(both(1, groups, [KEPT, OTHER])).failed == {}
    for key in (A, B):
        lab.boot(key)
    return lab


def test_a_connection_ends_with_its_rule_and_another_goes_on(begun: Lab):
    ending, staying = begun.hold(A, "10.1.0.12", 22), begun.hold(A, "10.1.0.12", 8080)
    assert ending.goes_on()
    assert staying.goes_on()
    begun.apply(both(2, [group(OUT, EGRESS), group(KEPT, EGRESS, WEB), group(OTHER)], [KEPT, OTHER]))
    assert ending.ends()
    assert staying.goes_on()
    assert not begun.tcp(A, "10.1.0.12", 22)


RULES = [group(OUT, EGRESS), group(KEPT, EGRESS, WEB), group(OTHER, SSH)]
PAIR = AddressPair(mac=PORT_B.mac, cidr="10.1.0.77/32")


@pytest.mark.parametrize("taken", ["rule", "group", "members", "port security", "sender's rule"])
def test_a_connection_goes_on_as_it_is_allowed_again(lab: Lab, taken: str):
    friends = RuleState(direction="ingress", version=4, protocol=6, remote_group=OUT)
    first = group(OUT, EGRESS, members=["10.1.0.11"])
    whole = both(1, [first, group(KEPT, EGRESS), group(OTHER, friends)], [KEPT, OTHER])
    if taken == "port security":
        whole = unsecured(whole)
    less = {
        "rule": both(2, [first, group(KEPT, EGRESS), group(OTHER)], [KEPT, OTHER]),
        "group": both(2, whole.groups, [KEPT]),
        "members": both(2, [group(OUT, EGRESS), *whole.groups[1:]], [KEPT, OTHER]),
        "port security": both(2, whole.groups, [KEPT]),
        "sender's rule": both(2, [group(OUT, members=["10.1.0.11"]), *whole.groups[1:]], [KEPT, OTHER]),
    }[taken]
    lab.apply(whole)
    for key in (A, B):
        lab.boot(key)
    held = lab.hold(A, "10.1.0.12", 22)
    assert held.goes_on()
    lab.apply(less)
    assert held.ends()
    lab.apply(msgspec.structs.replace(whole, generation=3))
    assert eventually(held.goes_on, 8)
    lab.apply(msgspec.structs.replace(less, generation=4))
    assert held.ends(), "it is judged as any"


def unsecured(state: HostState) -> HostState:
    """The state without port security at B."""
    near, asked = state.ports
    return msgspec.structs.replace(state, ports=[near, msgspec.structs.replace(asked, security=False)])


def test_a_connection_of_an_allowed_pair_goes_on_as_that_is_given_back(begun: Lab):
    if not isinstance(begun, FabricLab):
        pytest.skip("whom packets to allowed pairs reach, the fake does not know")
    state = both(2, RULES, [KEPT, OTHER])
    near, asked = state.ports
    paired = msgspec.structs.replace(state, ports=[near, msgspec.structs.replace(asked, pairs=[PAIR])])
    begun.apply(paired)
    with begun.guests[B].pretending("10.1.0.77", None):
        held = begun.hold(A, "10.1.0.77", 22)
        assert held.goes_on()
        begun.apply(msgspec.structs.replace(state, generation=3))
        assert held.ends()
        begun.apply(msgspec.structs.replace(paired, generation=4))
        assert eventually(held.goes_on, 8)


def test_what_has_ended_is_not_begun_by_the_server(begun: Lab):
    """It may send to anybody; what it sends in the middle of a connection that nobody knows lets nobody in."""
    held = begun.hold(A, "10.1.0.12", 22)
    assert held.goes_on()
    begun.apply(both(2, [*RULES[:2], group(OTHER)], [KEPT, OTHER]))
    assert held.ends()
    if isinstance(begun, FabricLab):
        begun.guests[B].speak(22)
        assert not eventually(lambda: _known(begun, "10.1.0.12") > 0, 0.6)
    assert not held.goes_on()
    begun.apply(both(3, [*RULES[:2], group(OTHER, PING)], [KEPT, OTHER]))
    assert not held.goes_on(), "other rights are not its own"


def test_nobody_inherits_what_has_ended(begun: Lab):
    held = begun.hold(A, "10.1.0.12", 22)
    begun.apply(both(2, RULES, [KEPT]))
    assert held.ends()
    state = both(3, RULES, [KEPT, OTHER])
    begun.apply(msgspec.structs.replace(state, ports=state.ports[:1]))
    heir = msgspec.structs.replace(state.ports[1], id="5f1f8c1e-0000-4000-8000-000000000012")
    begun.apply(msgspec.structs.replace(state, generation=4, ports=[state.ports[0], heir]))
    begun.apply(msgspec.structs.replace(state, generation=5, ports=[state.ports[0], heir], groups=[*RULES]))
    assert not eventually(lambda: _known(begun, "10.1.0.12") > 0, 0.6)


def test_a_connection_that_two_rules_allow_outlives_one(begun: Lab):
    groups = [group(OUT, EGRESS), group(KEPT, EGRESS, WEB), group(OTHER, SSH, ANY)]
    begun.apply(both(2, groups, [KEPT, OTHER]))
    held = begun.hold(A, "10.1.0.12", 22)
    begun.apply(both(3, [*groups[:2], group(OTHER, ANY)], [KEPT, OTHER]))
    assert held.goes_on()


def test_a_connection_ends_with_the_group(begun: Lab):
    held, other = begun.hold(A, "10.1.0.12", 22), begun.hold(A, "10.1.0.12", 8080)
    groups = [group(OUT, EGRESS), group(KEPT, EGRESS, WEB), group(OTHER, SSH)]
    begun.apply(both(2, groups, [KEPT]))
    assert held.ends()
    assert other.goes_on()


def test_a_connection_ends_as_its_sender_leaves_the_group(lab: Lab):
    friends = RuleState(direction="ingress", version=4, remote_group=OUT)
    groups = [group(OUT, EGRESS, members=["10.1.0.11"]), group(KEPT, EGRESS, friends)]
    assert lab.apply(both(1, groups, [KEPT])).failed == {}
    for key in (A, B):
        lab.boot(key)
    held = lab.hold(A, "10.1.0.12", 22)
    assert held.goes_on()
    lab.apply(both(2, [group(OUT, EGRESS, members=["10.1.0.77"]), groups[1]], [KEPT]))
    assert held.ends()


def test_the_sender_may_lose_its_right_too(begun: Lab):
    held = begun.hold(A, "10.1.0.12", 22)
    begun.apply(both(2, [group(OUT), group(KEPT, EGRESS, WEB), group(OTHER, SSH)], [KEPT, OTHER]))
    assert held.ends()


def test_a_connection_ends_with_the_floating_address(begun: Lab):
    held = begun.hold(None, FLOATING, 22)
    inside = begun.hold(A, "10.1.0.12", 22)
    assert held.goes_on()
    groups = [group(OUT, EGRESS), group(KEPT, EGRESS, WEB), group(OTHER, SSH)]
    without = msgspec.structs.replace(FIRST.routers[0], floating=[])
    begun.apply(both(2, groups, [KEPT, OTHER], routers=[without]))
    assert held.ends()
    assert inside.goes_on()


def test_a_connection_ends_as_the_floating_address_leads_elsewhere(begun: Lab):
    held = begun.hold(None, FLOATING, 22)
    groups = [group(OUT, EGRESS, SSH), group(KEPT, EGRESS, WEB), group(OTHER, SSH)]
    turned = msgspec.structs.replace(FIRST.routers[0], floating=[FloatingState(address=FLOATING, fixed="10.1.0.11")])
    begun.apply(both(2, groups, [KEPT, OTHER], routers=[turned]))
    assert held.is_told(), "the one who has the address now knows nothing of it"
    assert begun.tcp(None, FLOATING, 22)


@pytest.mark.parametrize("at", ["outside", "inside"])
def test_who_sends_to_an_address_that_has_led_elsewhere_for_a_moment_goes_on(begun: Lab, at: str):
    groups = [group(OUT, EGRESS, SSH), *RULES[1:]]
    router = FIRST.routers[0]
    turned = msgspec.structs.replace(router, floating=[FloatingState(address=FLOATING, fixed="10.1.0.11")])
    asker = None if at == "outside" else A
    begun.apply(both(2, groups, [KEPT, OTHER]))
    silent, other = begun.hold(asker, FLOATING, 22), begun.hold(asker, FLOATING, 8080)
    begun.apply(both(3, groups, [KEPT, OTHER], routers=[turned]))
    assert other.is_told()
    if isinstance(begun, FabricLab):
        assert eventually(lambda: len(_told(begun)) == 2)
    begun.apply(both(4, groups, [KEPT, OTHER]))
    if isinstance(begun, FabricLab):
        assert eventually(lambda: not _told(begun))
    assert silent.goes_on()


def test_routers_tell_for_a_while_whatever_becomes_of_the_agent(begun: Lab, monkeypatch: pytest.MonkeyPatch):
    if not isinstance(begun, FabricLab):
        pytest.skip("the fake's connections are its own memory")
    groups = [group(OUT, EGRESS, SSH), *RULES[1:]]
    turned = msgspec.structs.replace(FIRST.routers[0], floating=[FloatingState(address=FLOATING, fixed="10.1.0.11")])
    early, late = begun.hold(None, FLOATING, 22), begun.hold(None, FLOATING, 8080)
    begun.apply(both(2, groups, [KEPT, OTHER], routers=[turned]))
    assert early.is_told()
    monkeypatch.setattr(translated, "KEPT", -1.0)
    begun.apply(both(3, groups, [KEPT, OTHER], routers=[turned]))
    assert eventually(lambda: not _told(begun)), "no router has a table that says nothing"
    assert not late.is_told()
    monkeypatch.undo()
    begun.apply(both(4, groups, [KEPT, OTHER]))
    held = begun.hold(None, FLOATING, 22)
    begun.apply(both(5, groups, [KEPT, OTHER], routers=[turned]))
    assert eventually(lambda: len(_told(begun)) == 1)
    begun.restart()
    begun.apply(both(6, groups, [KEPT, OTHER], routers=[turned]))
    assert held.is_told()


def _told(lab: FabricLab) -> list[object]:
    """Of which connections the router tells that they have ended."""
    space = Namespace(names.router_namespace(lab.mark, FIRST.routers[0].id))
    items = json.loads(space.visit(lambda: nft._run("list ruleset ip\n", as_json=True)))["nftables"]
    return next((item["set"].get("elem", []) for item in items if item.get("set", {}).get("name") == "ended"), [])


def test_a_connection_ends_with_the_forwarded_port(begun: Lab):
    def forward(number: int) -> ForwardState:
        own = {"low": number, "high": number, "fixed_low": 22, "fixed_high": 22}
        return ForwardState(address="198.18.4.40", protocol="tcp", fixed="10.1.0.12", **own)

    groups = [group(OUT, EGRESS), group(KEPT, EGRESS, WEB), group(OTHER, SSH)]
    many = msgspec.structs.replace(FIRST.routers[0], floating=[], forwards=[forward(2022), forward(2023)])
    begun.apply(both(2, groups, [KEPT, OTHER], routers=[many]))
    held, other = begun.hold(None, "198.18.4.40", 2022), begun.hold(None, "198.18.4.40", 2023)
    assert held.goes_on()
    one = msgspec.structs.replace(many, forwards=[forward(2023)])
    begun.apply(both(3, groups, [KEPT, OTHER], routers=[one]))
    assert held.ends()
    assert other.goes_on()
    elsewhere = msgspec.structs.replace(one, forwards=[msgspec.structs.replace(forward(2023), fixed="10.1.0.11")])
    begun.apply(both(4, groups, [KEPT, OTHER], routers=[elsewhere]))
    assert other.is_told()


def test_who_comes_to_an_address_later_inherits_nothing(begun: Lab):
    """The connections of a port that is gone are gone with it, at the other end too."""
    begun.hold(A, "10.1.0.12", 22)
    state = both(2, [group(OUT, EGRESS)], [])
    begun.apply(msgspec.structs.replace(state, ports=state.ports[:1]))
    assert eventually(lambda: _known(begun, "10.1.0.12") == 0)


def _known(lab: Lab, address: str) -> int:
    """How many connections of the address are tracked behind the bridges."""
    if not isinstance(lab, FabricLab):
        return sum(address in one.ends for one in lab.fabric._tracked)
    entries = Namespace(f"cumulet-{lab.mark}").visit(conntrack.read)
    return sum(address in (one.original.source, one.original.destination) for one in entries)


def test_a_network_in_anothers_zone_inherits_nothing(begun: Lab):
    begun.hold(A, "10.1.0.12", 22)
    begun.apply(HostState(generation=2))
    assert eventually(lambda: _known(begun, "10.1.0.12") == 0)


def test_a_new_agent_ends_what_went_while_there_was_none(begun: Lab):
    if not isinstance(begun, FabricLab):
        pytest.skip("the fake's connections are its own memory")
    held, other = begun.hold(A, "10.1.0.12", 22), begun.hold(A, "10.1.0.12", 8080)
    outside = begun.hold(None, FLOATING, 8080)
    begun.restart()
    begun.apply(both(2, [group(OUT, EGRESS), group(KEPT, EGRESS, WEB), group(OTHER)], [KEPT, OTHER]))
    assert held.ends()
    assert other.goes_on()
    assert outside.goes_on()


@pytest.fixture(params=["fake", pytest.param("fabric", marks=pytest.mark.root)])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if request.param == "fabric" and os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    place: Pair = FakePair() if request.param == "fake" else FabricPair()
    yield place
    place.close()


@pytest.mark.parametrize("direction", ["asker", "asked"])
def test_connections_go_on_where_their_port_goes(pair: Pair, direction: str):
    """The guest that moves began one that no rule would let the other begin, or was asked by one it may not ask."""
    groups = [group(OUT, EGRESS), group(KEPT, SSH)]
    mover, other = (OUT, KEPT) if direction == "asker" else (KEPT, OUT)
    a, b = (msgspec.structs.replace(one, groups=[own]) for one, own in ((PORT_A, mover), (PORT_B, other)))
    one, two = pair.labs
    together = msgspec.structs.replace(FIRST, ports=[a, b], groups=groups, remotes=[])
    assert one.apply(together).failed == {}
    for key in (A, B):
        one.boot(key)
    sender, target = (A, "10.1.0.12") if direction == "asker" else (B, "10.1.0.11")
    held = one.hold(sender, target, 22)
    assert held.goes_on()
    left = msgspec.structs.replace(together, generation=2, ports=[b], remotes=[far(PORT_A, 1)])
    come = msgspec.structs.replace(SECOND, ports=[a], groups=groups, remotes=[far(PORT_B, 0), SECOND.remotes[-1]])
    pair.move(A, (left, come))
    assert not held.goes_on(), "nobody has told the new host yet"
    handed = one.fabric.connections([A])
    assert len(handed) == 1
    assert two.fabric.adopt(handed) == 1
    assert held.goes_on()
    assert two.fabric.adopt(handed) == 1, "again, of what is there already"
    assert held.goes_on()
    two.apply(msgspec.structs.replace(come, generation=2, groups=[group(OUT), group(KEPT)]))
    assert held.ends()
    assert two.fabric.adopt(handed) == 0, "what the rules here do not allow does not come from elsewhere"
    assert not held.goes_on()


def test_a_host_keeps_for_a_while_what_a_port_left(begun: Lab):
    begun.hold(A, "10.1.0.12", 22)
    begun.apply(HostState(generation=2))
    assert [item.ends for item in begun.fabric.connections([A])] == [("10.1.0.11", "10.1.0.12")]
    assert begun.fabric.connections(["nobody"]) == []


def test_a_new_agent_ends_those_of_networks_that_went_while_there_was_none(begun: Lab):
    die_after(begun, HostState(generation=2))
    assert eventually(lambda: _known(begun, "10.1.0.12") == 0)


def test_what_a_port_left_while_there_was_no_agent_is_no_way_into_the_next_one(begun: Lab):
    state = both(2, [group(OUT, EGRESS), group(KEPT, EGRESS, WEB)], [KEPT])
    die_after(begun, msgspec.structs.replace(state, ports=state.ports[:1]))
    assert begun.fabric.connections([A]), "somebody unknown may be an address that moves with several ports"
    heir = msgspec.structs.replace(state.ports[1], id="5f1f8c1e-0000-4000-8000-000000000012")
    begun.apply(msgspec.structs.replace(state, generation=3, ports=[state.ports[0], heir]))
    assert eventually(lambda: _known(begun, "10.1.0.12") == 0)


def die_after(lab: Lab, state: HostState) -> None:
    """Hold a connection to B's SSH, and let the agent die when `state` is made, but for what was connected."""
    if not isinstance(lab, FabricLab):
        pytest.skip("the fake's connections are its own memory")
    lab.hold(A, "10.1.0.12", 22)
    lab.fabric._connections.plug = lambda *_: None  # type: ignore[method-assign]
    assert lab.apply(state).failed == {}
    lab.restart()
    assert lab.apply(state).failed == {}
