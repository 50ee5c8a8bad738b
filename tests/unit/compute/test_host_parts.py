# SPDX-License-Identifier: Apache-2.0
"""What Linux says of a machine, which of it servers may have, which devices they get, and what QEMU is told of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.kernel import clock
from cumulet.kernel.errors import Conflict, Invalid
from cumulet.services.compute.drivers import host_topology, parts
from cumulet.services.compute.drivers.fake_machine import FakeMachine
from cumulet.services.compute.drivers.parts import GpuFound, Rules
from cumulet.services.compute.drivers.qemu import numa, passthrough
from cumulet.services.compute.drivers.qemu.board import Board
from cumulet.services.compute.logic.guest.agreement import Wishes
from cumulet.services.compute.logic.pci import fit, wanted
from cumulet.services.compute.logic.pci.wanted import DeviceRequest
from cumulet.services.compute.types import (
    Flavor,
    Gpu,
    Guest,
    GuestNode,
    GuestNodes,
    HostNode,
    Mdev,
    Pages,
    Parts,
    Passed,
)
from cumulet.services.compute.types import PciDevice as Device

PAGE = os.sysconf("SC_PAGE_SIZE") // 1024


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two nodes of two threads each, one core a node; one has large pages, devices and a maker of virtual ones."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    for node, cpus in ((0, "0-1"), (1, "2-3")):
        folder = tmp_path / f"devices/system/node/node{node}"
        write(folder, cpulist=cpus, meminfo=f"Node {node} MemTotal:  8192 kB\nNode {node} MemFree: 1 kB")
        write(folder, **{"hugepages__hugepages-2048kB__nr_hugepages": "2" if node == 0 else "0"})
        for cpu in (2 * node, 2 * node + 1):
            topology = {"thread_siblings_list": cpus, "physical_package_id": str(node)}
            write(tmp_path / f"devices/system/cpu/cpu{cpu}/topology", **topology)
    devices = tmp_path / "bus/pci/devices"
    for address, more in (("0000:81:00.0", {"sriov_totalvfs": "4"}), ("0000:81:00.1", {}), ("0000:82:00.0", {})):
        write(devices / address, vendor="0x8086", device="0x154d", numa_node="-1" if "82" in address else "1", **more)
    (devices / "0000:81:00.1/physfn").symlink_to("../0000:81:00.0")
    kind = tmp_path / "class/mdev_bus/0000:84:00.0/mdev_supported_types/nvidia-35"
    write(kind, available_instances="3", devices__one="")
    return tmp_path


def test_linux_is_understood(machine: Path) -> None:
    first, second = host_topology.nodes(machine)
    assert first == HostNode(
        id=0, memory=8, shared=[0, 1], siblings=[[0, 1]], socket=0,
        pages=[Pages(size=PAGE, total=4096 // PAGE), Pages(size=2048, total=2)],
    )  # fmt: skip
    assert second.pages == [Pages(size=PAGE, total=8192 // PAGE)]
    physical, virtual, plain = host_topology.devices(machine)
    assert (physical.kind, physical.node) == ("type-PF", 1)
    assert (virtual.kind, virtual.parent) == ("type-VF", "0000:81:00.0")
    assert (plain.kind, plain.node, plain.vendor_id, plain.product_id) == ("type-PCI", None, "8086", "154d")
    assert host_topology.gpus(machine) == [GpuFound(address="0000:84:00.0", types={"nvidia-35": 4})]
    assert host_topology.devices(machine / "none") == host_topology.gpus(machine / "none") == []
    assert host_topology.nodes(machine / "none")[0].shared == [0, 1, 2, 3]


def test_rules_say_which_parts_servers_may_have(machine: Path) -> None:
    rules = Rules(
        dedicated="1,3", shared="0", reserved_pages=("node=0 size=2048 count=1",), mdev_types=("nvidia-35",),
        devices=("vendor_id=8086 product_id=* address=0000:81:* physical_network=one",),
    )  # fmt: skip
    first, second = parts.nodes(host_topology.nodes(machine), rules)
    assert (first.shared, first.dedicated, second.shared, second.dedicated) == ([0], [1], [], [3])
    assert first.pages[1].reserved == 1
    found = parts.devices(host_topology.devices(machine), rules)
    assert [each.address for each in found] == ["0000:81:00.0", "0000:81:00.1"]
    assert found[0].tags == {"physical_network": "one"}
    assert parts.gpus(host_topology.gpus(machine), rules) == [Gpu(address="0000:84:00.0", type="nvidia-35", total=4)]
    named = Rules(mdev_types=("nvidia-35=0000:85:00.0",))
    assert parts.gpus(host_topology.gpus(machine), named) == []
    assert parts.devices(host_topology.devices(machine), Rules()) == []
    with pytest.raises(ValueError, match="in common"):
        parts.nodes(host_topology.nodes(machine), Rules(dedicated="0-1", shared="1-2"))


def test_the_made_up_machine_is_what_settings_say() -> None:
    machine = FakeMachine(
        nodes=2, cpus=8, threads=2, memory=64, huge_pages=8, devices=("address=a vendor_id=1 product_id=2 node=1",)
    )
    first, second = machine.found_nodes()
    assert (first.shared, second.siblings) == ([0, 1, 2, 3], [[4, 5], [6, 7]])
    assert first.pages == [Pages(size=4, total=24 * 256), Pages(size=2048, total=4)]
    assert machine.found_devices() == [Device(address="a", vendor_id="1", product_id="2", node=1)]


def wishes(alias: str, **specs: str) -> Wishes:
    flavor = Flavor(
        id="1", name="small", ram=64, vcpus=1, disk=1, ephemeral=0, swap=0, rxtx_factor=1.0, is_public=True,
        disabled=False, description=None, created_at=clock.utcnow(),
        extra_specs={"pci_passthrough:alias": alias, **specs},
    )  # fmt: skip
    return Wishes.of(flavor, {})


ALIASES = ("name=net vendor_id=8086 product_id=154d numa_policy=preferred", "name=card vendor_id=1 product_id=2")


def test_aliases_are_named_and_defined() -> None:
    one, other = wanted.of(wishes("net:2, card:1"), ALIASES)
    assert (one.alias, one.count, one.policy) == ("net", 2, "preferred")
    assert (other.alias, other.count, other.policy) == ("card", 1, "legacy")
    (near,) = wanted.of(wishes("net:1", **{"hw:pci_numa_affinity_policy": "required"}), ALIASES)
    assert near.policy == "required"
    with pytest.raises(Invalid, match="PCI alias disk is not defined"):
        wanted.of(wishes("disk:1"), ALIASES)
    for wrong in ("name=a vendor_id=1", "vendor_id=1 product_id=2", "name=a vendor_id=1 product_id=2 numa_policy=far"):
        with pytest.raises(Invalid, match="Invalid PCI alias definition"):
            wanted.aliases((wrong,))


def device(address: str, node: int | None = None, **more: str) -> Device:
    return Device(address=address, vendor_id="8086", product_id="154d", node=node, **more)  # type: ignore[arg-type]


def request(policy: str = "legacy", count: int = 1, **spec: str) -> DeviceRequest:
    return DeviceRequest(alias="net", count=count, policy=policy, specs=({"vendor_id": "8086", **spec},))


@pytest.mark.parametrize(
    ("policy", "near", "expected"),
    [
        ("legacy", {0}, "none"), ("required", {0}, None), ("preferred", {0}, "none"), ("socket", {0}, "one"),
        ("legacy", {1}, "one"), ("required", {1}, "one"), ("preferred", {1}, "one"), ("socket", {2}, None),
    ],
)  # fmt: skip
def test_devices_are_as_near_as_was_asked(policy: str, near: set[int], expected: str | None) -> None:
    nodes = [HostNode(id=number, memory=1, shared=[], socket=number // 2) for number in range(4)]
    there = [device("none"), device("one", 1)] if policy != "required" else [device("one", 1)]
    found = fit.fit(there, [request(policy)], near, nodes)
    assert (found and found[0].address) == expected


def test_what_is_cut_out_of_a_device_goes_with_it() -> None:
    physical, virtual = device("p", kind="type-PF"), device("v", kind="type-VF", parent="p")
    plain = [request()]
    assert fit.fit([physical], plain) is None
    assert fit.fit([physical], [request(kind="type-PF")]) == [Passed(address="p", alias="net")]
    assert fit.free([physical, virtual], [Passed(address="p")]) == []
    assert fit.free([physical, virtual], [Passed(address="v")]) == []
    assert fit.fit([physical, virtual], [request(kind="type-PF"), request(kind="type-VF")]) is None


DEVICES = st.lists(st.tuples(st.sampled_from([None, 0, 1]), st.sampled_from(["a", "b"])), max_size=6).map(
    lambda found: [device(str(at), node, tags={"group": group}) for at, (node, group) in enumerate(found)]
)  # type: ignore[arg-type]
REQUESTS = st.lists(
    st.tuples(st.sampled_from(["legacy", "required", "preferred"]), st.integers(1, 3), st.booleans()), max_size=4
)


@settings(max_examples=80, deadline=None)
@given(there=DEVICES, asked=REQUESTS, near=st.sampled_from([None, {0}, {0, 1}]))
def test_each_device_is_given_once(
    there: list[Device], asked: list[tuple[str, int, bool]], near: set[int] | None
) -> None:
    requests = [request(policy, count, **({"group": "a"} if only else {})) for policy, count, only in asked]
    found = fit.fit(there, requests, near)
    if found is None:
        assert sum(each.count for each in requests) > 0
        return
    assert len(found) == sum(each.count for each in requests)
    assert len({each.address for each in found}) == len(found)
    assert {each.address for each in found} <= {each.address for each in fit.free(there, [])}
    assert fit.fit(fit.free(there, found), [request(count=len(there) - len(found) + 1)]) is None


def test_qemu_is_told_of_nodes(tmp_path: Path) -> None:
    nodes = GuestNodes(
        nodes=[
            GuestNode(cpus=[0, 1, 3], memory=16, host_node=1, page_size=2048),
            GuestNode(cpus=[2], memory=8, host_node=0),
        ],
        realtime=[2],
    )
    write(
        tmp_path,
        mounts="hugetlbfs /dev/huge hugetlbfs rw,pagesize=2M 0 0\nnone /h hugetlbfs rw 0 0",
        meminfo="Hugepagesize: 1048576 kB",
    )
    pages = numa.mounts(tmp_path / "mounts", tmp_path / "meminfo")
    assert pages == {2048: Path("/dev/huge"), 1048576: Path("/h")}
    assert numa.arguments(nodes, 4, pages, binds=True) == [
        *("-object", "memory-backend-file,id=mem0,size=16M,mem-path=/dev/huge,prealloc=on,host-nodes=1,policy=bind"),
        *("-numa", "node,nodeid=0,cpus=0-1,cpus=3-3,memdev=mem0"),
        *("-object", "memory-backend-ram,id=mem1,size=8M,host-nodes=0,policy=bind"),
        *("-numa", "node,nodeid=1,cpus=2-2,memdev=mem1"),
        *("-overcommit", "mem-lock=on"),
    ]
    with pytest.raises(Conflict, match="Page size 2048 is not supported"):
        numa.arguments(nodes, 4, {}, binds=False)
    assert numa.arguments(None, 4, {}, binds=True) == []


def test_devices_are_taken_from_the_host_and_given_back(machine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    write(machine, bus__pci__drivers_probe="", bus__mdev__devices__there__remove="")
    held = Parts(
        devices=[Passed(address="0000:82:00.0")],
        mdevs=[Mdev(uuid=each, parent="0000:84:00.0", type="nvidia-35") for each in ("new", "there")],
    )
    passthrough.prepare(held, folder, machine)
    assert (machine / "bus/pci/devices/0000:82:00.0/driver_override").read_text() == "vfio-pci"
    assert (machine / "bus/pci/drivers_probe").read_text() == "0000:82:00.0"
    assert (machine / "class/mdev_bus/0000:84:00.0/mdev_supported_types/nvidia-35/create").read_text() == "new"
    told = passthrough.devices(held, Board(Guest()))
    assert [each.get("host") or each["sysfsdev"] for each in told] == [
        "0000:82:00.0", "/sys/bus/mdev/devices/new", "/sys/bus/mdev/devices/there",
    ]  # fmt: skip
    passthrough.give_back(folder, machine)
    assert (machine / "bus/mdev/devices/there/remove").read_text() == "1"
    with pytest.raises(Conflict, match="cannot be given to the server"):
        passthrough.prepare(Parts(devices=[Passed(address="0000:99:00.0")]), folder, machine)
