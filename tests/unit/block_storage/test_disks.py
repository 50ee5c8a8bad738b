# SPDX-License-Identifier: Apache-2.0
"""A disk has one opener: block storage keeps away from what a server has or is about to have."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict, NotFound, NotReady
from cumulet.kernel.link.host import Journal
from cumulet.services.block_storage.agent.backup import VolumesKeeper
from cumulet.services.block_storage.agent.disks import DisksForServers
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.agent.passwords import Passwords
from cumulet.services.block_storage.contract import NetworkSource, RemoteDisk
from cumulet.services.block_storage.drivers.base import nobody
from cumulet.services.block_storage.drivers.fake import FakeBackend, FakeExporter
from cumulet.services.compute.contract import HostDisks
from support.one_backend import NAME, alone
from support.waiting import PATIENCE

MIB = 1 << 20


class Hypervisor:
    """Compute's side: a set of open volumes."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.starting: set[str] = set()

    def is_open(self, volume_id: str, _backend: str = "") -> bool:
        return volume_id in self.open

    def may_open(self, volume_id: str) -> bool:
        return volume_id in self.starting

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
def backend(tmp_path: Path) -> FakeBackend:
    backend = FakeBackend(tmp_path)
    backend.create_blank("v1", MIB)
    return backend


@pytest.fixture
def exports(tmp_path: Path, backend: FakeBackend) -> Exports:
    exports = Exports("host-a", "127.0.0.1", Journal(tmp_path / "journal"), alone(backend))
    exports.use(FakeExporter(backend, Journal(tmp_path / "exporter"), exports.ended), NAME)
    return exports


@pytest.fixture
def disks(tmp_path: Path, hypervisor: Hypervisor, backend: FakeBackend, exports: Exports) -> DisksForServers:
    contracts = Contracts()
    contracts.offer(HostDisks, lambda: hypervisor)
    keeper = VolumesKeeper(alone(backend), lambda _held, _volume_id: nobody)
    passwords = Passwords(tmp_path / "secrets", lambda _verb, _body: {"secret": "word"})
    tls = tmp_path / "tls"
    return DisksForServers(contracts, alone(backend), keeper, exports, lambda: tls, lambda *_: None, passwords)


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


def test_a_server_may_take_its_time_to_open_a_disk(
    disks: DisksForServers, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cumulet.services.block_storage.agent.disks.OPENING", 0.0)
    hypervisor.starting.add("v1")
    disks.open("v1")
    with pytest.raises(NotReady, match="about to open"), disks.closed(["v1"]):
        pass
    hypervisor.starting.clear()
    with disks.closed(["v1"]):
        pass


def test_an_opener_waits_for_work_on_the_closed_disk(disks: DisksForServers) -> None:
    opened = threading.Event()
    with disks.closed(["v1"]):
        thread = threading.Thread(target=lambda: (disks.open("v1"), opened.set()))
        thread.start()
        assert not opened.wait(0.2)
    assert opened.wait(PATIENCE)
    thread.join()


def test_a_disk_that_is_not_here(disks: DisksForServers) -> None:
    with pytest.raises(NotFound):
        disks.open("v2")


def test_an_exported_disk_is_open_elsewhere(disks: DisksForServers, exports: Exports) -> None:
    exports.begin("v1", 2, "host-b")
    for generation in (0, 1, 2):
        with pytest.raises(NotReady):
            disks.open("v1", generation=generation)
    with pytest.raises(NotReady), disks.closed(["v1"]):
        pass


def test_a_younger_attachment_ends_an_export(disks: DisksForServers, exports: Exports) -> None:
    exports.begin("v1", 2, "host-b")
    disks.open("v1", generation=3)
    assert exports.all() == {}
    assert exports.begin("v1", 4, "host-b").port
    assert exports.begin("v1", 5, "host-c") == exports.begin("v1", 5, "host-c")
    with pytest.raises(Conflict):
        exports.begin("v1", 4, "host-b")
    exports.end("v1", 4)
    assert exports.all()["v1"].client == "host-c"
    exports.end("v1", 5)
    exports.end("v1", 5)
    assert exports.all() == {}


def test_exports_come_back_with_the_agent(tmp_path: Path, backend: FakeBackend, exports: Exports) -> None:
    remote = exports.begin("v1", 2, "host-b")
    exports.rest()
    again = Exports("host-a", "127.0.0.1", Journal(tmp_path / "journal"), alone(backend))
    exporter = FakeExporter(backend, Journal(tmp_path / "exporter"), again.ended)
    again.use(exporter, NAME)
    assert exporter.exports() == []
    again.start()
    assert exporter.clients("v1") == ["host-b"]
    exporter.die("v1")
    assert exporter.exports() == ["v1"]
    assert again.begin("v1", 2, "host-b") == remote


def test_exports_that_nobody_knows_are_ended(tmp_path: Path, backend: FakeBackend, exports: Exports) -> None:
    exporter = FakeExporter(backend, Journal(tmp_path / "exporter"), exports.ended)
    exporter.export("v1", backend.source("v1"), ["host-b"])
    exports.start()
    assert exporter.exports() == []


def test_an_export_that_is_shared_ends_with_its_last_attachment(
    tmp_path: Path, disks: DisksForServers, exports: Exports
) -> None:
    first = exports.begin("v1", 1, "host-a", shared=True)
    assert exports.begin("v1", 2, "host-b", shared=True) == first == exports.begin("v1", 1, "host-a", shared=True)
    assert (exports.all()["v1"].generations, exports.all()["v1"].clients) == ([1, 2], ["host-a", "host-b"])
    with pytest.raises(NotReady):
        disks.open("v1", generation=3)
    exports.end("v1", 1)
    assert (exports.all()["v1"].generations, exports.all()["v1"].clients) == ([2], ["host-b"])
    with pytest.raises(Conflict):
        exports.begin("v1", 1, "host-a", shared=True)
    exports.end("v1", 1)
    exports.end("v1", 2)
    assert exports.all() == {}


def test_an_order_for_another_attachment_is_refused(tmp_path: Path, exports: Exports) -> None:
    assert not exports.resize("v1", 1 << 30, 1)
    exports.begin("v1", 2, "host-b")
    for stale in (1, 3):
        with pytest.raises(Conflict, match="attached anew"):
            exports.resize("v1", 1 << 30, stale)
        with pytest.raises(Conflict, match="attached anew"):
            exports.copy("v1", tmp_path / "copy", "qcow2", stale)
    assert exports.resize("v1", 1 << 30, 2)
    assert exports.resize("v1", 1 << 30)


def test_a_disk_of_another_host_is_opened_there(disks: DisksForServers, tmp_path: Path) -> None:
    remote = RemoteDisk(address="192.0.2.1", port=10809, export="v9", server="host-z")
    assert disks.open("v9", generation=1, remote=remote) == NetworkSource(remote=remote, credentials=tmp_path / "tls")
