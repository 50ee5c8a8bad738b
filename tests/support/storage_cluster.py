# SPDX-License-Identifier: Apache-2.0
"""A small storage cluster: one daemon that serves the disks in its folder to any host, by a driver of another package.

It stands where Ceph stands: volumes are no files of any host, several hosts may write to one, and the storage makes
snapshots, clones and larger disks by itself, whoever has them open.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from cumulet.services.block_storage.contract import DiskSource, NetworkDisk, NetworkSource
from cumulet.services.block_storage.drivers import shared
from cumulet.services.block_storage.drivers.base import CopyByOpener, CopyTogether, Kind, nobody, nobody_of_them
from cumulet.services.block_storage.drivers.kinds import NBD, BackendKind, Made, Place
from cumulet.services.block_storage.types.encryption import Container, Recoding
from cumulet.settings.block_storage import SharedVolumeBackend
from support.waiting import until

MONITOR, PORT = "monitor", "port"
CAPABILITIES = msgspec.structs.replace(
    shared.CAPABILITIES,
    name="cluster",
    storage_protocol="cluster",
    multiattach=True,
    extends_open=True,
    copies_open=True,
)
Format = Literal["qcow2", "raw"]
S = TypeVar("S", bound=shared.SharedFolder)


class ClusterSettings(SharedVolumeBackend, frozen=True, kw_only=True, tag="cluster"):
    """`folder` has the cluster's monitor and port."""

    folder: Path


@contextmanager
def storage_cluster() -> Iterator[Path]:
    """A cluster, for as long as the block lasts: its folder."""
    folder = Path(tempfile.mkdtemp(prefix="rack"))  # short, for sockets
    (folder / shared.MARK).touch()
    with socket.create_server(("127.0.0.1", 0)) as door:
        (folder / PORT).write_text(str(door.getsockname()[1]))
        argv = ["qemu-storage-daemon", "--nbd-server"]
        argv += [f"addr.type=fd,addr.str={door.fileno()},max-connections=20"]
        argv += ["--chardev", f"socket,id=control,path={folder / MONITOR},server=on,wait=off"]
        daemon = subprocess.Popen([*argv, "--monitor", "chardev=control"], pass_fds=[door.fileno()])
    try:
        with _Monitor(folder):
            pass
        yield folder
    finally:
        daemon.kill()
        daemon.wait()
        shutil.rmtree(folder)


def shared_folder(root: Path) -> shared.SharedFolder:
    """A folder that hosts share, as one of them has it."""
    root.mkdir()
    (root / shared.MARK).touch()
    return in_order(shared.SharedFolder(root, "host-a"))


def in_order(storage: S) -> S:
    """The storage after the first order."""
    with storage.order("first", 1):
        return storage


class ClusterBackend(shared.SharedFolder):
    """`VolumeBackend` and `SharedStorage` of the cluster in `root`."""

    def __init__(self, root: Path, host: str) -> None:
        super().__init__(root, host)
        self._capabilities = CAPABILITIES

    def source(self, volume_id: str) -> NetworkDisk:  # type: ignore[override]
        super().source(volume_id)
        with _Monitor(self._root) as monitor:
            if _node(volume_id) not in monitor.served():
                monitor("blockdev-add", **self._disk(volume_id))
                monitor.serve(volume_id)
        return NetworkDisk(protocol="nbd", servers=(f"127.0.0.1:{(self._root / PORT).read_text()}",), name=volume_id)

    def snapshot(self, snapshot_id: str, volume_id: str, by_opener: CopyByOpener = nobody) -> None:
        super().snapshot(snapshot_id, volume_id, self._also(volume_id, by_opener))

    def clone(self, volume_id: str, size: int, source_id: str, by_opener: CopyByOpener = nobody) -> None:
        super().clone(volume_id, size, source_id, self._also(source_id, by_opener))

    def export(self, volume_id: str, target: Path, target_format: Format, by_opener: CopyByOpener = nobody) -> None:
        super().export(volume_id, target, target_format, self._also(volume_id, by_opener))

    def snapshot_together(self, volumes: Mapping[str, str], by_openers: CopyTogether = nobody_of_them) -> None:
        def copy(targets: Mapping[str, Path], target_format: Format) -> Collection[str]:
            done = set(by_openers(targets, target_format))
            left = {each: path for each, path in targets.items() if each not in done}
            return done | self._copy_served(left, target_format)

        super().snapshot_together(volumes, copy)

    def extend(self, volume_id: str, size: int) -> None:
        with _Monitor(self._root) as monitor:
            if _node(volume_id) in monitor.served() and self.size(volume_id) < size:
                monitor.withdraw(volume_id)
                monitor("block_resize", **{"node-name": _node(volume_id), "size": size})
                monitor.serve(volume_id)
                return
        super().extend(volume_id, size)

    def revert(self, volume_id: str, snapshot_id: str) -> None:
        self._close(volume_id)
        super().revert(volume_id, snapshot_id)

    def reimage(self, volume_id: str, image: Path, image_format: str, container: Container | None = None) -> None:
        self._close(volume_id)
        super().reimage(volume_id, image, image_format, container)

    def receive(
        self, volume_id: str, size: int, source: DiskSource | NetworkSource, recoding: Recoding | None = None
    ) -> None:
        super().receive(volume_id, size, source, recoding)
        self._close(volume_id)  # not before: it may have been the source

    def delete(self, volume_id: str) -> None:
        self._close(volume_id)
        super().delete(volume_id)

    def abandon(self, kind: Kind, disk_id: str, name: str) -> None:
        self._close(disk_id)
        super().abandon(kind, disk_id, name)

    def _close(self, volume_id: str) -> None:
        with _Monitor(self._root) as monitor:
            if _node(volume_id) in monitor.served():
                monitor.withdraw(volume_id)
                monitor("blockdev-del", **{"node-name": _node(volume_id)})

    def _disk(self, volume_id: str) -> dict[str, Any]:
        path = self._existing(self._volumes, volume_id)
        return _file(_node(volume_id), path, "qcow2")

    def _also(self, volume_id: str, by_opener: CopyByOpener) -> CopyByOpener:
        def copy(target: Path, target_format: Format) -> bool:
            return by_opener(target, target_format) or bool(self._copy_served({volume_id: target}, target_format))

        return copy

    def _copy_served(self, targets: Mapping[str, Path], target_format: Format) -> set[str]:
        """Copy the volumes that are served now, all as of one moment."""
        with _Monitor(self._root) as monitor:
            served = {each: path for each, path in targets.items() if _node(each) in monitor.served()}
            for volume_id, path in served.items():
                monitor("blockdev-add", **_file(f"c{_node(volume_id)}", path, target_format))
            copies = [
                {"job-id": _node(each), "device": _node(each), "target": f"c{_node(each)}", "sync": "full"}
                for each in served
            ]
            monitor("transaction", actions=[{"type": "blockdev-backup", "data": copy} for copy in copies])
            for volume_id in served:
                monitor.wait("BLOCK_JOB_COMPLETED", device=_node(volume_id))
                monitor("blockdev-del", **{"node-name": f"c{_node(volume_id)}"})
        return set(served)


class _Monitor:
    """A conversation with the daemon, which has one at a time."""

    def __init__(self, folder: Path) -> None:
        self._path, self._events = folder / MONITOR, list[dict[str, Any]]()

    def __enter__(self) -> _Monitor:
        self._socket = until(self._connected)
        self._socket.settimeout(30)
        self._lines = self._socket.makefile("r")
        assert "QMP" in json.loads(self._lines.readline())
        self("qmp_capabilities")
        return self

    def _connected(self) -> socket.socket | None:
        found = socket.socket(socket.AF_UNIX)
        try:
            found.connect(str(self._path))
        except (FileNotFoundError, ConnectionRefusedError):
            found.close()
            return None
        return found

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def __call__(self, verb: str, **words: Any) -> Any:
        self._socket.sendall(json.dumps({"execute": verb, "arguments": words}).encode())
        while True:
            said = json.loads(self._lines.readline())
            if "event" in said:
                self._events.append(said)
            elif "return" in said:
                return said["return"]
            elif "error" in said:
                raise AssertionError(f"{verb} {words}: {said['error']}")

    def wait(self, event: str, **data: str) -> None:
        while True:
            for each in self._events:
                if each["event"] == event and data.items() <= each["data"].items():
                    self._events.remove(each)
                    return
            said = json.loads(self._lines.readline())
            self._events += [said] if "event" in said else []

    def served(self) -> set[str]:
        return {each["id"] for each in self("query-block-exports")}

    def serve(self, volume_id: str) -> None:
        node = _node(volume_id)
        words = {"type": "nbd", "id": node, "node-name": node, "name": volume_id, "writable": True}
        self("block-export-add", **words)

    def withdraw(self, volume_id: str) -> None:
        self("block-export-del", id=_node(volume_id), mode="hard")
        self.wait("BLOCK_EXPORT_DELETED", id=_node(volume_id))


def _node(volume_id: str) -> str:
    """Names of nodes have 31 characters at most."""
    return "n" + volume_id.replace("-", "")[:29]


def _file(node: str, path: Path, disk_format: str) -> dict[str, Any]:
    return {"node-name": node, "driver": disk_format, "file": {"driver": "file", "filename": str(path)}}


def _back_end(place: Place) -> Made:
    return Made(ClusterBackend(place.settings.folder, place.host.name), {NBD: place.nbd()})


KIND = BackendKind(ClusterSettings, _back_end)
