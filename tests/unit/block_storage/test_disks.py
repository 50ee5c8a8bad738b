# SPDX-License-Identifier: Apache-2.0
"""A disk has one opener: block storage keeps away from what a server has or is about to have."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import NotFound, NotReady
from cumulet.services.block_storage.agent.disks import DisksForServers
from cumulet.services.block_storage.drivers.fake import FakeBackend
from cumulet.services.compute.contract import HostDisks

MIB = 1 << 20


class Hypervisor:
    """Compute's side: a set of open volumes."""

    def __init__(self) -> None:
        self.open: set[str] = set()

    def is_open(self, volume_id: str) -> bool:
        return volume_id in self.open

    def resize(self, volume_id: str, size: int) -> bool:
        return volume_id in self.open

    def snapshot(self, volume_id: str, name: str) -> bool:
        return volume_id in self.open

    def copy(self, volume_id: str, target: Path, target_format: str) -> bool:
        return volume_id in self.open


@pytest.fixture
def hypervisor() -> Hypervisor:
    return Hypervisor()


@pytest.fixture
def disks(tmp_path: Path, hypervisor: Hypervisor) -> DisksForServers:
    contracts = Contracts()
    contracts.offer(HostDisks, lambda: hypervisor)
    backend = FakeBackend(tmp_path)
    backend.create_blank("v1", MIB)
    return DisksForServers(contracts, backend)


def test_an_open_disk_is_left_alone(disks: DisksForServers, hypervisor: Hypervisor) -> None:
    hypervisor.open.add("v1")
    with pytest.raises(NotReady), disks.closed(["v1"]):
        pass


def test_a_disk_that_is_about_to_be_opened_is_left_alone(disks: DisksForServers) -> None:
    disks.open("v1")
    with pytest.raises(NotReady), disks.closed(["v1"]):
        pass
    with disks.closed(["v1"], attached=False):
        pass
    disks.open("v1")
    disks.close("v1")
    with disks.closed(["v1"]):
        pass


def test_an_opener_waits_for_work_on_the_closed_disk(disks: DisksForServers) -> None:
    opened = threading.Event()
    with disks.closed(["v1"]):
        thread = threading.Thread(target=lambda: (disks.open("v1"), opened.set()))
        thread.start()
        assert not opened.wait(0.2)
    assert opened.wait(5)
    thread.join()


def test_a_disk_that_is_not_here(disks: DisksForServers) -> None:
    with pytest.raises(NotFound):
        disks.open("v2")
