# SPDX-License-Identifier: Apache-2.0
"""A real guest with two NUMA nodes and a processor of its own, on this machine's processors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from compute_lab import LabSupplies

from cumulet.kernel import detached
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.loop import Loop
from cumulet.services.compute.drivers.parts import Rules
from cumulet.services.compute.drivers.qemu import work
from cumulet.services.compute.drivers.qemu.command_line import PID_FILE
from cumulet.services.compute.drivers.qemu.driver import QemuHypervisor
from cumulet.services.compute.types import GuestNode, GuestNodes, Parts, PowerState, ServerSpec

CPUS = sorted(os.sched_getaffinity(0))
SHARED, OWN = CPUS[0], CPUS[-1]

pytestmark = pytest.mark.skipif(len(CPUS) < 2, reason="needs a processor for the guest beside one for the rest")


@pytest.fixture
def hypervisor(tmp_path: Path, supplies: LabSupplies) -> Iterator[QemuHypervisor]:
    loop = Loop()
    rules = Rules(dedicated=str(OWN), shared=str(SHARED))
    driver = QemuHypervisor(tmp_path / "qemu", loop, supplies, lambda *_: None, accelerator="tcg", rules=rules)
    yield driver
    for server_id in driver.list():
        driver.destroy(server_id)
    driver.close()
    loop.close()


def affinities(driver: QemuHypervisor, server_id: str) -> tuple[dict[int, set[int]], set[int]]:
    """Where each of the guest's processors may run, and QEMU's first thread."""

    async def ask(monitor):
        return await monitor.execute("query-cpus-fast")

    found = {each["cpu-index"]: each["thread-id"] for each in driver._on_running(server_id, ask)}
    running = detached.Process.of(driver._servers / server_id / PID_FILE)
    assert running is not None
    running.close()
    return {cpu: os.sched_getaffinity(thread) for cpu, thread in found.items()}, os.sched_getaffinity(running.pid)


def test_nodes_and_processors_are_those_that_were_given(hypervisor: QemuHypervisor, supplies: LabSupplies) -> None:
    there = hypervisor.capabilities().nodes
    assert {cpu for node in there for cpu in node.dedicated} == {OWN}
    assert {cpu for node in there for cpu in node.shared} == {SHARED}
    home = {cpu: node.id for node in there for cpu in (*node.shared, *node.dedicated)}
    image_id = new_uuid()
    supplies.add_image(image_id)
    nodes = [
        GuestNode(cpus=[0], memory=16, host_node=home[SHARED]),
        GuestNode(cpus=[1], memory=16, host_node=home[OWN], pins=[(1, OWN)]),
    ]
    spec = ServerSpec(
        id=new_uuid(), vcpus=2, ram=32, image_id=image_id, image_format="raw",
        parts=Parts(numa=GuestNodes(nodes=nodes, emulator="share")),
    )  # fmt: skip
    hypervisor.build(spec)
    hypervisor.start(spec)
    assert hypervisor.power(spec.id) is PowerState.RUNNING
    guest, own = affinities(hypervisor, spec.id)
    assert guest == {0: {SHARED}, 1: {OWN}}
    assert own == {SHARED}

    async def told(monitor):
        return await monitor.execute("human-monitor-command", command_line="info numa")

    words = hypervisor._on_running(spec.id, told)
    assert re.findall(r"node (\d) cpus: (\d)", words) == [("0", "0"), ("1", "1")]
    assert re.findall(r"node \d size: (\d+) MB", words) == ["16", "16"]
    hypervisor.suspend(spec.id)
    hypervisor.start(spec)
    assert affinities(hypervisor, spec.id)[0] == {0: {SHARED}, 1: {OWN}}


def test_who_has_nothing_of_its_own_stays_off_what_others_may_have(
    hypervisor: QemuHypervisor, supplies: LabSupplies
) -> None:
    image_id = new_uuid()
    supplies.add_image(image_id)
    spec = ServerSpec(id=new_uuid(), vcpus=1, ram=16, image_id=image_id, image_format="raw")
    hypervisor.build(spec)
    hypervisor.start(spec)
    guest, own = affinities(hypervisor, spec.id)
    assert (guest, own) == ({0: {SHARED}}, {SHARED})
    assert hypervisor._on_running(spec.id, work.status) == "running"
