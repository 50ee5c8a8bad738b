# SPDX-License-Identifier: Apache-2.0
"""Volumes over iSCSI in every hypervisor: booted from, plugged, kept over a suspension; who knows their secrets."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from compute_lab import IMAGE_SIZE, SECTOR, LabSupplies, in_namespace, process_of

from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage.contract import FileDisk, NetworkSource, RemoteDisk
from cumulet.services.block_storage.drivers.iscsi import IscsiExporter, target_of
from cumulet.services.block_storage.drivers.tgt import Tgt
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.libvirt import library, secrets
from cumulet.services.compute.drivers.libvirt.driver import LibvirtHypervisor
from cumulet.services.compute.drivers.libvirt.library import LibvirtError
from cumulet.services.compute.drivers.libvirt.taps import daemon_namespace
from cumulet.services.compute.types import PowerState, ServerSpec, VolumeSpec
from support.waiting import until

HOST = "host-a"


class San:
    """One target daemon, where the hypervisor's guests find it, and disks that are opened over it."""

    def __init__(self, folder: Path, supplies: LabSupplies, namespace: int) -> None:
        self._folder, self._namespace, self._loop = folder, namespace, Loop()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.exporter = IscsiExporter(folder / "targets", self._loop, "127.0.0.1", self.port, lambda _volume: None)
        supplies.open_volume = self.open  # type: ignore[method-assign]

    def volume(self, **words: object) -> VolumeSpec:
        volume_id = new_uuid()
        path = self._folder / f"{volume_id}.raw"
        path.write_bytes(SECTOR.ljust(IMAGE_SIZE, b"\0"))
        disk = FileDisk(path=path, format="raw")

        def export() -> None:
            self.exporter.export(volume_id, disk, [HOST])

        in_namespace(export, self._namespace) if self._namespace >= 0 else export()
        door = self.exporter.door(volume_id, HOST)
        remote = RemoteDisk(
            address="127.0.0.1", port=self.port, export=door.export, server=HOST, protocol="iscsi",
            initiator=door.initiator, user=door.user,
        )  # fmt: skip
        (self._folder / volume_id).write_text(door.secret)
        return VolumeSpec(volume_id=volume_id, remote=remote, **words)  # type: ignore[arg-type]

    def secret(self, volume: VolumeSpec) -> str:
        return (self._folder / volume.volume_id).read_text()

    def open(self, volume: VolumeSpec, *, served: bool = False) -> Disk:
        assert volume.remote is not None
        return Disk.of(NetworkSource(remote=volume.remote, credentials=self._folder / volume.volume_id))

    def users(self, volume: VolumeSpec) -> set[str]:
        """Whose sessions the daemon has."""
        return Tgt(self._folder / "targets").targets()[target_of(volume.volume_id)].sessions

    def close(self) -> None:
        for volume_id in self.exporter.exports():
            self.exporter.stop(volume_id)
        self.exporter.close()
        self._loop.close()


@pytest.fixture
def san(hypervisor, supplies, tmp_path, request) -> Iterator[San]:
    namespace = -1
    if isinstance(hypervisor, LibvirtHypervisor):
        namespace = daemon_namespace(request.getfixturevalue("libvirtd").uri)
        in_namespace(lambda: subprocess.run(["ip", "link", "set", "lo", "up"], check=True), namespace)
    (tmp_path / "san").mkdir()
    made = San(tmp_path / "san", supplies, namespace)
    yield made
    for server_id in hypervisor.list():
        hypervisor.destroy(server_id)
    made.close()
    if namespace >= 0:
        os.close(namespace)


def test_volumes_over_iscsi(hypervisor, san, request):
    root, more = san.volume(device="/dev/vda", boot_index=0), san.volume(device="/dev/vdb")
    spec = ServerSpec(id=new_uuid(), vcpus=1, ram=32, volumes=[root])
    is_real = hypervisor.capabilities().hypervisor != "fake"
    hypervisor.build(spec)
    hypervisor.start(spec)
    until(lambda: b"ready" in hypervisor.console(spec.id, None) or not is_real)
    for _ in range(2):
        hypervisor.attach_disk(spec.id, more)
    if not is_real:
        return
    mine = {root.remote.initiator}
    assert (san.users(root), san.users(more)) == (mine, mine)
    assert len(hypervisor.diagnostics(spec.id).disks) == 2
    for _ in range(2):
        hypervisor.detach_disk(spec.id, more.volume_id)
    until(lambda: not san.users(more))
    said = hypervisor.console(spec.id, None)
    hypervisor.suspend(spec.id)
    until(lambda: not san.users(root))
    hypervisor.start(spec)
    assert hypervisor.power(spec.id) == PowerState.RUNNING
    assert (san.users(root), hypervisor.console(spec.id, None)) == (mine, said)
    _nobody_was_told(hypervisor, san, spec, request)
    if isinstance(hypervisor, LibvirtHypervisor):
        with pytest.raises(Conflict, match="in no file"):
            hypervisor.swap_disk(spec.id, root.volume_id, more)
    else:
        other = san.volume(device="/dev/vda")
        hypervisor.swap_disk(spec.id, root.volume_id, other)
        assert (san.users(root), san.users(other)) == (set(), mine)
        hypervisor.swap_disk(spec.id, other.volume_id, root)
    # Nor does anybody else get in, and what is not let in leaves nothing behind.
    Path(san.open(more).source.credentials).write_text("guessed-wrong")
    with pytest.raises(Conflict):
        hypervisor.attach_disk(spec.id, more)
    assert len(hypervisor.diagnostics(spec.id).disks) == 1
    hypervisor.stop(spec.id, 0)
    hypervisor.start(spec)
    until(lambda: san.users(root) == mine)


def _nobody_was_told(hypervisor, san, spec, request) -> None:
    """The volume's secret is in no argument, no file of the server's or of libvirt's, and nothing the daemon tells."""
    secret, root = san.secret(spec.volumes[0]).encode(), spec.volumes[0]
    assert secret not in Path(f"/proc/{process_of(spec.id)}/cmdline").read_bytes()
    folders = [hypervisor._servers]
    if isinstance(hypervisor, LibvirtHypervisor):
        folders.append(request.getfixturevalue("libvirtd").folder)
        with hypervisor._domain(spec.id) as found:
            assert not [each for each in found.description().iter() if secret.decode() in str(each.attrib)]
        number = secrets.number_of(spec.id, root.volume_id)
        with pytest.raises(LibvirtError) as gone:
            hypervisor._connection.call("virSecretLookupByUUIDString", number.encode())
        assert gone.value.code == library.ERR_NO_SECRET
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if secret in path.read_bytes()] == []
