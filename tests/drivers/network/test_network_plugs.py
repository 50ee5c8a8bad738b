# SPDX-License-Identifier: Apache-2.0
"""Ports beside the fabric: what plugs them in, the fake one and those of cards and of a switch in user space alike."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pyroute2 import IPRoute
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.requests.link import LinkIPRouteFilter

from cumulet.kernel.errors import Conflict, NotFound
from cumulet.kernel.run import CommandFailed
from cumulet.services.network import doctor
from cumulet.services.network.contract import MetadataAnswer
from cumulet.services.network.drivers import fake
from cumulet.services.network.drivers.cards import Cards
from cumulet.services.network.drivers.fake import FakeFabric
from cumulet.services.network.drivers.fake_plugs import FakePlugger
from cumulet.services.network.drivers.plugs import Plugger, Plugs
from cumulet.services.network.drivers.user_switch import UserSwitch
from cumulet.services.network.types import HostState
from cumulet.services.network.types.plugs import SOCKET, VIRTUAL, WHOLE, PlugState

CARD, FIRST, SECOND = "0000:81:00.0", "0000:81:10.0", "0000:81:10.1"
SOCKETS = "/run/switch"


class Machine:
    """A machine with a card of two functions and a switch, and what both were told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sys, self.told = folder / "sys", list[tuple[str, dict[str, Any]]]()
        devices = self.sys / "bus/pci/devices"
        for address in (CARD, FIRST, SECOND):
            (devices / address).mkdir(parents=True)
        for number, address in enumerate((FIRST, SECOND)):
            (devices / CARD / f"virtfn{number}").symlink_to(devices / address)
            (devices / address / "physfn").symlink_to(devices / CARD)
        (devices / CARD / "net/eth1").mkdir(parents=True)
        (self.sys / "class/net/eth1").mkdir(parents=True)
        (self.sys / "class/net/eth1/device").symlink_to(devices / CARD)
        self._log = folder / "switch.log"
        program = folder / "bin/ovs-vsctl"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\necho "$@" >> {self._log}\n[ ! -e {folder}/broken ]\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        self.break_switch: Callable[[], None] = (folder / "broken").touch

    def cards(self) -> Cards:
        return Cards({"fast": ["eth1", "eth2"], "slow": ["eth3"]}, self.sys, lambda *told: self.told.append(told))

    def switched(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.fixture
def lone_device() -> Iterator[str]:
    """A device that leads nowhere."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes devices")
    name = f"t{uuid.uuid4().hex[:10]}"
    with IPRoute() as ip:
        ip.link("add", ifname=name, kind="veth", peer={"ifname": f"{name}p"})
        yield name
        ip.link("del", ifname=name)


@pytest.fixture(params=["fake", "real"])
def beside(request: pytest.FixtureRequest, machine: Machine) -> list[Plugger]:
    bridges = {"fast": "br-fast"}
    if request.param == "fake":
        return [FakePlugger({"fast": ["eth1"]}, SOCKETS, bridges)]
    return [machine.cards(), UserSwitch(SOCKETS, bridges)]


@pytest.fixture
def host(beside: list[Plugger]) -> Iterator[Plugs]:
    made = Plugs(FakeFabric(lambda _: MetadataAnswer(status=404)), beside)
    yield made
    made.shutdown()


def port(kind: str, **words: Any) -> PlugState:
    key = str(uuid.uuid4())
    own = {"device": FIRST} if kind != SOCKET else {"socket": f"{SOCKETS}/vhu{key}"[:26]}
    return PlugState(**{"id": key, "kind": kind, "mac": "fa:16:3e:00:00:01", "physical": "fast", **own, **words})


@pytest.mark.parametrize("kind", [VIRTUAL, WHOLE, SOCKET])
def test_a_port_comes_and_goes(host: Plugs, kind: str) -> None:
    one = port(kind, device=CARD if kind == WHOLE else FIRST if kind == VIRTUAL else "")
    applied = host.apply(HostState(generation=1, plugs=[one]))
    assert (applied.ports, applied.failed) == ([one.id], {})
    assert host.report().ports == [one.id]
    assert [layer.sound for layer in host.look(one.id)] == [True]
    assert host.repair().ports == [one.id]
    assert host.apply(HostState(generation=2, plugs=[msgspec.structs.replace(one, up=False)])).ports == []
    assert host.apply(HostState(generation=3)).ports == []
    assert host.report().ports == []


def test_the_same_state_changes_nothing(host: Plugs) -> None:
    state = HostState(generation=1, plugs=[port(VIRTUAL), port(SOCKET)])
    assert host.apply(state).changes >= 2
    assert host.apply(state).changes == 0
    assert host.repair().changes == 0


def test_one_that_cannot_be_plugged_in_leaves_the_others_alone(host: Plugs) -> None:
    good, bad = port(VIRTUAL), port(SOCKET, physical="nowhere")
    applied = host.apply(HostState(generation=1, plugs=[good, bad]))
    assert applied.ports == [good.id]
    assert "nowhere" in applied.failed[bad.id]
    assert [layer.sound for layer in host.look(bad.id)] == [False]
    mended = msgspec.structs.replace(bad, physical="fast")
    assert host.apply(HostState(generation=2, plugs=[good, mended])).ports == sorted([good.id, bad.id])


def test_what_the_host_offers(beside: list[Plugger]) -> None:
    found: dict[str, Any] = {}
    for each in beside:
        found |= each.offers()
    assert found == {
        "device_mappings": {"fast": ["eth1"]},
        "vhostuser_socket_dir": SOCKETS,
        "vhostuser_bridge_mappings": {"fast": "br-fast"},
    }


def test_a_switch_in_user_space_gives_no_tap(host: Plugs) -> None:
    one = port(SOCKET)
    host.apply(HostState(generation=1, plugs=[one]))
    with pytest.raises(Conflict):
        host.open_tap(one.id)


def test_everything_else_is_the_fabrics(host: Plugs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "PATIENCE", 0.0)
    with pytest.raises(NotFound):
        host.open_tap("nobody")
    host.close_tap("nobody")
    assert host.capabilities.driver == "fake"
    assert [layer.sound for layer in host.look("nobody")] == [False]


def test_a_host_that_has_nothing_for_a_kind_says_so() -> None:
    lone = Plugs(FakeFabric(lambda _: MetadataAnswer(status=404)), [])
    one = port(VIRTUAL)
    assert lone.apply(HostState(generation=1, plugs=[one])).failed == {
        one.id: "this host plugs in no ports of the kind hw_veb"
    }
    assert lone.apply(HostState(generation=2)).failed == {}


def test_a_cards_function_is_told_all_of_it(machine: Machine) -> None:
    cards, one = machine.cards(), port(VIRTUAL, device=SECOND, vlan=7, trusted=True, least=10, most=100)
    assert cards.plug(one)
    assert machine.told == [
        ("eth1", {"vf": 1, "mac": one.mac, "vlan": 7}),
        ("eth1", {"vf": 1, "spoofchk": 1}),
        ("eth1", {"vf": 1, "link_state": 0}),
        ("eth1", {"vf": 1, "trust": 1}),
        ("eth1", {"vf": 1, "rate": {"min_tx_rate": 10, "max_tx_rate": 100}}),
    ]
    machine.told.clear()
    assert cards.plug(msgspec.structs.replace(one, checked=False, up=False, trusted=False, least=0, most=0))
    assert [words for _, words in machine.told][1:] == [
        {"vf": 1, "spoofchk": 0},
        {"vf": 1, "link_state": 2},
        {"vf": 1, "trust": 0},
        {"vf": 1, "rate": {"min_tx_rate": 0, "max_tx_rate": 0}},
    ]
    machine.told.clear()
    cards.unplug(one)
    assert machine.told[0] == ("eth1", {"vf": 1, "mac": "00:00:00:00:00:00", "vlan": 0})


@pytest.mark.parametrize("device", ["", "0000:99:00.0", "../../class/net", CARD])
def test_only_functions_of_cards_are_told_anything(machine: Machine, device: str) -> None:
    with pytest.raises(Conflict):
        machine.cards().plug(port(VIRTUAL, device=device))
    assert machine.told == []


def test_netlink_takes_these_words(machine: Machine) -> None:
    """No card of this machine has functions, so that messages are made and not sent."""
    machine.cards().plug(port(VIRTUAL, vlan=7, trusted=True, least=10, most=100))
    for _, words in machine.told:
        fields = LinkIPRouteFilter("set").set_vf({}, dict(words))
        message = ifinfmsg()
        message["index"] = 1
        message["attrs"] = [("IFLA_VFINFO_LIST", fields["IFLA_VFINFO_LIST"])]
        message.encode()
        assert len(message.data) > 32


def test_the_switch_is_told_all_of_it(machine: Machine) -> None:
    switch, one = UserSwitch(SOCKETS, {"fast": "br-fast"}), port(SOCKET, vlan=7, mtu=1400)
    name = Path(one.socket).name
    switch.plug(one)
    switch.plug(msgspec.structs.replace(one, vlan=0, mtu=0))
    switch.unplug(one)
    add = f"--timeout=10 --may-exist add-port br-fast {name} -- set Interface {name} type=dpdkvhostuserclient"
    own = f"options:vhost-server-path={one.socket} external_ids:iface-id={one.id} external_ids:attached-mac={one.mac}"
    assert machine.switched() == [
        f"{add} {own} mtu_request=1400 -- set Port {name} tag=7",
        f"{add} {own} -- clear Port {name} tag",
        f"--timeout=10 --if-exists del-port {name}",
    ]
    machine.break_switch()
    with pytest.raises(CommandFailed):
        switch.plug(one)


@pytest.mark.root
def test_a_tap_stands_on_a_function(machine: Machine, lone_device: str) -> None:
    """On a device of the kernel's that is no card's."""
    (machine.sys / "bus/pci/devices" / FIRST / "net" / lone_device).mkdir(parents=True)
    cards = Cards({"fast": ["eth1"]}, machine.sys, lambda *_: None)
    one = port(VIRTUAL, tap=True)
    for _ in range(2):
        handle = cards.open_tap(one)
        assert stat.S_ISCHR(os.fstat(handle).st_mode)
        os.close(handle)
    cards.close_tap(one)
    cards.close_tap(one)


def test_the_doctor_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (doctor._card("eth1", tmp_path).status, doctor._card("eth1", tmp_path).detail) == (
        "degraded",
        "there is no network card eth1",
    )
    (tmp_path / "eth1/device").mkdir(parents=True)
    assert doctor._card("eth1", tmp_path).detail == "eth1 has no virtual functions"
    (tmp_path / "eth1/device/virtfn0").mkdir()
    assert doctor._card("eth1", tmp_path).status == "ok"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor._switch(str(tmp_path)).detail == "there is no ovs-vsctl"
    (tmp_path / "ovs-vsctl").touch(mode=0o755)
    assert doctor._switch(str(tmp_path / "none")).status == "degraded"
    assert doctor._switch(str(tmp_path)).status == "ok"
