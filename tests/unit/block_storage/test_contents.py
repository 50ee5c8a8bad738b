# SPDX-License-Identifier: Apache-2.0
"""On a host: a volume's content comes anew once for each order, and only while nobody has the disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import NotReady
from cumulet.kernel.link.host import Host, Journal
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.agent.volumes import VolumesOnHost
from cumulet.services.block_storage.drivers.fake import FakeBackend, FakeExporter
from cumulet.services.compute.contract import HostDisks
from cumulet.services.image.contract import HostImages
from support.one_backend import NAME, alone

MIB = 1 << 20


class Hypervisor:
    """Compute's side: a set of open volumes."""

    def __init__(self) -> None:
        self.open: set[str] = set()

    def is_open(self, volume_id: str, _backend: str = "") -> bool:
        return volume_id in self.open

    def may_open(self, volume_id: str) -> bool:
        return False

    def copy(self, volume_id: str, _target: Path, _format: str, *, generation: int) -> bool:
        return volume_id in self.open


class OneHost:
    """A host with a volume `v` and its snapshot `s`."""

    def __init__(self, folder: Path) -> None:
        self.hypervisor, self._image = Hypervisor(), folder / "image"
        self._image.write_bytes(b"system")
        contracts = Contracts()
        contracts.offer(HostDisks, lambda: self.hypervisor)
        contracts.offer(HostImages, lambda: SimpleNamespace(base=lambda _image: self._image))
        self.backend = FakeBackend(folder)
        exports = Exports("host-a", "127.0.0.1", Journal(folder / "exports"), alone(self.backend))
        exports.use(FakeExporter(self.backend, Journal(folder / "exporter"), exports.ended), NAME)
        host = SimpleNamespace(
            call=lambda *_: None,
            state=folder,
            contracts=contracts,
            journal=lambda kind: Journal(folder / "journal" / kind),
        )
        self._verbs = VolumesOnHost(cast(Host, host), alone(self.backend), exports, Path).verbs
        self.ask("volume.create", id="v", size=MIB)
        self.backend.write("v", 0, b"old")
        self.ask("volume.snapshot", id="s", volume_id="v")
        self.backend.write("v", 0, b"new")

    def ask(self, verb: str, **body: Any) -> Any:
        return self._verbs[verb](body)

    def text(self) -> bytes:
        return self.backend.read("v", 0, 3)


@pytest.fixture
def host(tmp_path: Path) -> OneHost:
    return OneHost(tmp_path)


def test_an_order_that_comes_again_late_touches_nothing(host: OneHost) -> None:
    host.ask("volume.revert", id="v", snapshot_id="s", operation="1")
    assert host.text() == b"old"
    host.backend.write("v", 0, b"now")
    host.ask("volume.revert", id="v", snapshot_id="s", operation="1")
    assert host.text() == b"now"
    host.ask("volume.revert", id="v", snapshot_id="s", operation="2")
    assert host.text() == b"old"
    host.ask("volume.reimage", id="v", image_id="i", image_format="raw", operation="3")
    assert host.text() == b"sys"
    host.backend.write("v", 0, b"now")
    host.ask("volume.reimage", id="v", image_id="i", image_format="raw", operation="3")
    assert host.text() == b"now"


def test_a_disk_that_somebody_has_is_left_alone(host: OneHost) -> None:
    host.hypervisor.open.add("v")
    for verb, words in (("revert", {"snapshot_id": "s"}), ("reimage", {"image_id": "i", "image_format": "raw"})):
        with pytest.raises(NotReady):
            host.ask(f"volume.{verb}", id="v", operation="1", **words)
    assert host.text() == b"new"


def test_a_volume_of_the_same_id_knows_nothing_of_the_one_before(host: OneHost) -> None:
    host.ask("volume.revert", id="v", snapshot_id="s", operation="1")
    host.ask("volume.delete", id="v")
    host.ask("volume.create", id="v", size=MIB)
    host.ask("volume.revert", id="v", snapshot_id="s", operation="1")
    assert host.text() == b"old"
