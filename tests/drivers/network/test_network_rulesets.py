# SPDX-License-Identifier: Apache-2.0
"""Large tables of rules that change by what differs, and what was changed by hand."""

from __future__ import annotations

import uuid

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroute2 import IPRoute
from test_fabric import NET1, OPEN, STATE, SUBNET1, A, B, C, port

from cumulet.services.network.drivers.fabric import devices, filters, names, nft
from cumulet.services.network.drivers.fabric.engine import KernelFabric
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace, apart
from cumulet.services.network.drivers.fabric.rulesets import STAMPS, Keeper, Table
from cumulet.services.network.types import AddressPair, GroupState, HostState, PortState, RuleState

pytestmark = pytest.mark.root

GROUPS = [str(uuid.UUID(int=number)) for number in range(1, 4)]
PORTS = [str(uuid.UUID(int=number << 96)) for number in range(1, 5)]
CIDRS = ("10.1.0.0/24", "10.1.0.16/28", "10.1.0.17", "10.1.0.18/31", "fd00::/64", "fd00::5")

rules = st.builds(
    RuleState,
    direction=st.sampled_from(("ingress", "egress")),
    version=st.sampled_from((4, 6)),
    protocol=st.sampled_from((None, 6)),
    remote_group=st.sampled_from((None, *GROUPS)),
)
groups = st.lists(
    st.builds(
        GroupState,
        id=st.sampled_from(GROUPS),
        rules=st.lists(rules, max_size=2),
        members=st.lists(st.sampled_from(CIDRS), max_size=3),
    ),
    max_size=3,
    unique_by=lambda group: group.id,
)
pairs = st.lists(st.builds(AddressPair, mac=st.just("fa:16:3e:00:00:99"), cidr=st.sampled_from(CIDRS)), max_size=2)


def _port(key: str, more: list[AddressPair], members: list[str], secure: bool) -> PortState:
    found = port(key, NET1, SUBNET1, f"10.1.0.{11 + PORTS.index(key)}", members if secure else [])
    return msgspec.structs.replace(found, pairs=more if secure else [], security=secure)


ports = st.lists(
    st.builds(
        _port, st.sampled_from(PORTS), pairs, st.lists(st.sampled_from(GROUPS), max_size=2, unique=True), st.booleans()
    ),
    max_size=4,
    unique_by=lambda one: one.id,
)
states = st.builds(lambda known, those: HostState(groups=known, ports=those), groups, ports)


@settings(max_examples=25, deadline=None)
@given(st.lists(states, min_size=2, max_size=4))
def test_what_is_changed_bit_by_bit_is_what_is_loaded_whole(steps: list[HostState]):
    maker = filters.BridgeTable()

    def work() -> list[bool]:
        keeper, found = Keeper("bridge", filters.TABLE), []
        for step in steps:
            table = maker.of(step)
            keeper.settle(table)
            found.append(_is(filters.TABLE, table))
        return found

    assert all(apart(work))


def _is(name: str, table: Table) -> bool:
    """Whether the table of that name is just so."""
    return nft.stands("bridge", name, lambda: nft.load(f"table bridge {name} {{\n{table.text()}\n}}"))


def _table(*chains: str) -> Table:
    return Table({}, dict.fromkeys(chains, ("accept",)), "")


def test_another_keeper_finds_the_table_as_it_should_be():
    def work() -> list[bool]:
        first, second = Keeper("bridge", "mine"), Keeper("bridge", "mine")
        return [first.settle(_table("a")), first.settle(_table("a", "b")), second.settle(_table("a", "b"))]

    assert apart(work) == [True, True, False]


def test_a_keeper_that_does_not_know_what_stands_loads_the_whole():
    def work() -> tuple[bool, set[str]]:
        first, second = Keeper("bridge", "mine"), Keeper("bridge", "mine")
        first.settle(_table("a"))
        second.settle(_table("b"))
        return first.settle(_table("a", "c")), nft.chains("bridge", "mine")

    assert apart(work) == (True, {"a", "c"})


def test_old_stamps_do_not_pile_up():
    def work() -> int:
        keeper = Keeper("bridge", "mine")
        for count in range(200):
            keeper.settle(_table(*(f"c{number}" for number in range(count))))
        return len(nft.chains("inet", STAMPS))

    assert apart(work) < 80


@pytest.mark.parametrize("command", ["flush chain bridge mine a", "delete table bridge mine"])
def test_a_thorough_look_sees_what_was_changed_by_hand(command: str):
    def work() -> tuple[bool, bool, bool]:
        keeper, table = Keeper("bridge", "mine"), _table("a")
        keeper.settle(table)
        nft.load(command)
        before = keeper.settle(table)
        return before, keeper.settle(table, thorough=True), _is("mine", table)

    assert apart(work) == (False, True, True)


@pytest.fixture
def fabric_lab():
    from network_labs import FabricLab

    lab = FabricLab()
    yield lab
    lab.close()


@pytest.mark.parametrize(
    ("space", "command"),
    [
        ("", f"flush chain bridge cumulet i-{OPEN}"),
        ("", "flush chain bridge cumulet spoof"),
        ("", f"delete element bridge cumulet ports {{ {names.tap(B)} }}"),
        ("", "flush chain inet cumulet classify"),
        ("r", "flush table ip cumulet"),
    ],
    ids=["a group", "spoofing", "a port", "classes", "a router"],
)
def test_rules_changed_by_hand_are_made_good(fabric_lab, space: str, command: str):
    fabric_lab.apply(STATE)
    home = names.fabric(fabric_lab.mark)
    router = STATE.routers[0]
    inside = Namespace(names.router_namespace(fabric_lab.mark, router.id) if space else home)
    before = inside.visit(_listing)
    inside.visit(lambda: nft.load(command))
    assert inside.visit(_listing) != before
    assert fabric_lab.apply(STATE).changes == 0, "nobody has looked"
    assert fabric_lab.host.visit(fabric_lab.fabric.repair).changes > 0
    assert inside.visit(_listing) == before
    assert fabric_lab.host.visit(fabric_lab.fabric.repair).changes == 0


def _listing() -> list[str]:
    return [nft._listing(family, "cumulet") for family in ("bridge", "inet", "ip")]


def test_devices_are_read_as_the_library_reads_them():
    def work() -> tuple[list[devices.Device], list[tuple[object, ...]]]:
        with Links() as links:
            links.bridge("bridge0", 1450, 7)
            links._change(
                "add", ifname="vx0", kind="vxlan", vxlan_id=9, vxlan_local="127.0.0.1", vxlan_port=4790, mtu=1300
            )
            links._found("vx0")
            links.settle("vx0", master="bridge0", up=False)
        with IPRoute() as route:
            known = [
                (item.get_attr("IFLA_IFNAME"), item["index"], item.get_attr("IFLA_MTU"), bool(item["flags"] & 1),
                 item.get_attr("IFLA_MASTER") or 0, item.get_attr("IFLA_GROUP") or 0, item.get_attr("IFLA_ADDRESS"))
                for item in route.get_links()
            ]  # fmt: skip
        return devices.read_all(), known

    found, known = apart(work)
    assert [(one.name, one.index, one.mtu, one.up, one.master, one.number, one.mac) for one in found] == known
    assert [one.tunnel for one in found if one.tunnel] == [(9, "127.0.0.1", 4790)]


def test_a_device_that_is_not_there():
    assert apart(lambda: devices.read("nothing")) is None
    assert apart(lambda: devices.read("lo").name) == "lo"


def test_a_port_more_leaves_the_others_rules_alone(fabric_lab):
    fabric_lab.apply(STATE)
    loaded: list[str] = []
    real = nft.load
    nft.load = lambda text: (loaded.append(text), real(text))[1]  # type: ignore[assignment]
    try:
        more = port(str(uuid.uuid4()), NET1, SUBNET1, "10.1.0.77", [OPEN])
        state = msgspec.structs.replace(STATE, generation=STATE.generation + 1, ports=[*STATE.ports, more])
        fabric_lab.apply(state)
    finally:
        nft.load = real
    assert isinstance(fabric_lab.fabric, KernelFabric)
    assert len(loaded) == 1
    assert more.id in loaded[0]
    assert not any(key in loaded[0] for key in (A, B, C))
    assert "delete table" not in loaded[0]


def test_a_kernel_that_takes_no_long_messages_is_told_bit_by_bit(monkeypatch: pytest.MonkeyPatch):
    """As it is in a user namespace, whose root may not ask for more room."""
    load = nft.load
    many = [_port(key, [], GROUPS[:1], True) for key in PORTS]
    known = [GroupState(id=GROUPS[0], rules=[RuleState(direction="egress", version=4)], members=["10.1.0.11"])]
    steps = [HostState(groups=known, ports=many[:3]), HostState(groups=known, ports=many), HostState()]
    longest = 3000

    def short(text: str) -> None:
        if len(text) > longest and f"f-{PORTS[0]}" in text:
            raise nft.MessageTooLong("too long")
        load(text)

    def work() -> list[bool]:
        maker, keeper, found = filters.BridgeTable(), Keeper("bridge", filters.TABLE), []
        for step in steps:
            table = maker.of(step)
            monkeypatch.setattr(nft, "load", short)
            keeper.settle(table)
            monkeypatch.setattr(nft, "load", load)
            found += [_is(filters.TABLE, table), Keeper("bridge", filters.TABLE).settle(table)]
        return found

    assert apart(work) == [True, False] * len(steps)
