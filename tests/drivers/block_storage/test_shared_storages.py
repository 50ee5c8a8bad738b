# SPDX-License-Identifier: Apache-2.0
"""Storages that hosts share: orders are held apart, and real servers open the same disks from whichever host."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from machines_lab import MIB, Machine

from cumulet.kernel import plugins
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.ids import new_uuid
from cumulet.services.block_storage.drivers.shared import MARK, SharedFolder
from cumulet.settings.block_storage import BlockStorage, FolderVolumeBackend
from support import storage_cluster
from support.certificates import Authority
from support.waiting import until
from support.writing_guest import SECTOR, WRITES

SIZE = 4 * MIB


@pytest.fixture
def folders(tmp_path: Path) -> list[SharedFolder]:
    """One folder, as two hosts see it."""
    (tmp_path / MARK).touch()
    return [SharedFolder(tmp_path, host) for host in ("host-a", "host-b")]


def test_orders_about_one_volume_are_held_apart(folders: list[SharedFolder]) -> None:
    one, other = folders
    with one.order("v1", 1):
        for folder in folders:
            with pytest.raises(NotReady, match="is at the volume"), folder.order("v1", 1):
                pass
        with other.order("v2", 1):
            pass
    with other.order("v1", 1):
        pass


def test_a_host_that_was_given_up_is_not_heeded(folders: list[SharedFolder]) -> None:
    one, other = folders
    with one.order("v1", 3):
        pass
    with other.order("v1", 4):
        pass
    with pytest.raises(Conflict, match="Another host keeps"), one.order("v1", 3):
        pass
    with one.order("v1", 4):
        pass


def test_names_are_no_paths(folders: list[SharedFolder], tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    with folders[0].order("../../x", 1):
        pass
    assert {path.name for path in tmp_path.iterdir()} - {*before, "orders", "volumes", "snapshots", "adoption"} == set()


def test_a_host_sweeps_its_own_drafts(folders: list[SharedFolder], tmp_path: Path) -> None:
    one, other = folders
    with one.order("v1", 1):
        one.create_blank("v1", SIZE)
    (tmp_path / "volumes/v2.qcow2.new-host-a").write_bytes(b"half")
    assert (other.sweep(), one.sweep()) == ([], ["v2.qcow2.new-host-a"])
    assert other.volumes() == ["v1"]


HOST_A = """
import sys, time
from pathlib import Path
from cumulet.services.block_storage.drivers.shared import SharedFolder
folder = SharedFolder(Path(sys.argv[1]), "host-a")
def opener(draft, draft_format):
    draft.write_bytes(b"half")
    print("halfway", flush=True)
    time.sleep(600)
with folder.order("s1", 1):
    folder.snapshot("s1", "v1", opener)
"""


def test_what_a_killed_host_was_at_is_done_by_another(folders: list[SharedFolder], tmp_path: Path) -> None:
    one, other = folders
    with one.order("v1", 1):
        one.create_blank("v1", SIZE)
    with subprocess.Popen([sys.executable, "-c", HOST_A, str(tmp_path)], stdout=subprocess.PIPE) as killed:
        try:
            assert killed.stdout is not None
            assert killed.stdout.readline() == b"halfway\n"
            with pytest.raises(NotReady), other.order("s1", 2):
                pass
        finally:
            killed.kill()
    with other.order("s1", 2):
        assert other.snapshots() == []
        other.snapshot("s1", "v1")
    assert (other.sweep(), other.snapshots()) == ([], ["s1"])
    (left,) = one.sweep()
    assert (left[:2], left.endswith(".new-host-a")) == ("s1", True), "its own agent's, at its next start"
    with pytest.raises(Conflict, match="Another host keeps"), one.order("s1", 1):
        pass
    assert one.snapshots() == ["s1"]


def test_a_folder_that_is_not_mounted(folders: list[SharedFolder], tmp_path: Path) -> None:
    (tmp_path / MARK).unlink()
    for ask in (folders[0].volumes, lambda: folders[0].source("v1"), lambda: folders[0].order("v1", 1).__enter__()):
        with pytest.raises(NotReady, match="not mounted"):
            ask()
    assert (folders[0].sweep(), folders[0].bring_back(tmp_path), list(tmp_path.iterdir())) == ([], [], [])


class Pair:
    """Two hosts with servers, and a storage that both reach."""

    def __init__(self, folder: Path, kept: BlockStorage) -> None:
        authority = Authority()
        names = ("host-a", "host-b")
        self.hosts = [Machine(name, folder, authority, servers=True, kept=kept) for name in names]
        self.volume = new_uuid()
        self.order(0, "volume.create", id=self.volume, size=SIZE, image_id="image", image_format="raw")

    def order(self, host: int, verb: str, **body: Any) -> Any:
        return self.hosts[host].ask(verb, backend="it", term=1, **body)

    def boot(self, host: int) -> str:
        server = new_uuid()
        disk = {"volume_id": self.volume, "device": "/dev/vda", "boot_index": 0, "generation": host + 1}
        self.hosts[host].ask("server.build", spec={"id": server, "vcpus": 1, "ram": 32, "volumes": [disk]})
        return server

    def told(self, host: int, server: str) -> str:
        output: bytes = self.hosts[host].ask("server.console", id=server)["output"]
        return output.decode(errors="replace")

    def close(self) -> None:
        for host in self.hosts:
            for server in host.ask("server.report")["servers"]:
                host.ask("server.destroy", id=server)
            host.leave()


@pytest.fixture(params=["shared", "cluster"])
def pair(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    with ExitStack() as stack:
        if request.param == "cluster":
            rack = stack.enter_context(storage_cluster.storage_cluster())
            monkeypatch.setattr(plugins, "load", lambda _group, _name: storage_cluster.KIND)
            back_end: Any = storage_cluster.ClusterSettings(name="it", cluster="c", folder=rack)
        else:
            (tmp_path / "folder").mkdir()
            (tmp_path / "folder" / MARK).touch()
            back_end = FolderVolumeBackend(name="it", cluster="c", folder=tmp_path / "folder")
        made = Pair(tmp_path, BlockStorage(backends=(back_end,)))
        stack.callback(made.close)
        yield made


@pytest.mark.timeout(300)
def test_a_server_goes_on_at_another_host_with_what_it_has_written(pair: Pair, tmp_path: Path) -> None:
    first = pair.boot(0)
    until(lambda: pair.told(0, first).count(".") >= 2)
    # Whoever has it open, or the storage itself, makes copies and a larger disk.
    pair.order(0, "volume.snapshot", id="s1", volume_id=pair.volume, attached=True)
    pair.order(0, "volume.extend", id=pair.volume, size=2 * SIZE, attached=True)
    assert pair.hosts[0].ask("server.resize_disk", id=first, volume_id=pair.volume, size=2 * SIZE) == {"done": True}
    pair.hosts[0].ask("server.destroy", id=first)
    image, back_end = tmp_path / "copy", pair.hosts[1].backend("it")
    back_end.export(pair.volume, image, "raw")
    content = image.read_bytes()
    numbers = [struct.unpack_from("<I", content, number * SECTOR)[0] for number in range(1, WRITES + 1)]
    written = numbers.index(0) if 0 in numbers else WRITES
    assert numbers == [*range(1, written + 1), *([0] * (WRITES - written))]
    assert (written > 0, len(content)) == (True, 2 * SIZE)
    second = pair.boot(1)
    until(lambda: "." in pair.told(1, second))
    assert [host.ask("volume.report")["exports"] for host in pair.hosts] == [{}, {}]


@pytest.mark.timeout(300)
def test_a_file_that_another_host_has_open_is_waited_for(pair: Pair) -> None:
    if pair.hosts[0].backend("it").capabilities.multiattach:
        pytest.skip("the storage takes several writers")
    first = pair.boot(0)
    until(lambda: "." in pair.told(0, first))
    with pytest.raises(NotReady):
        pair.boot(1)
    with pytest.raises(NotReady):
        pair.order(1, "volume.snapshot", id="s1", volume_id=pair.volume)
    pair.hosts[0].ask("server.destroy", id=first)
    pair.boot(1)
