# SPDX-License-Identifier: Apache-2.0
"""Encrypted volumes of servers on libvirt: opened over exports, by secrets that the daemon forgets at once."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compute_lab import DEAF_SECTOR, IMAGE_SIZE, in_namespace

from cumulet.kernel import detached, memory_file
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.link.host import Host, HostService
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage import agent as block_storage
from cumulet.services.block_storage.drivers.nbd import PID_FILE, NbdExporter
from cumulet.services.compute import agent as compute
from cumulet.services.compute.drivers.libvirt import secrets
from cumulet.services.compute.drivers.libvirt.library import call
from cumulet.services.compute.drivers.libvirt.words import write
from cumulet.services.compute.types import PowerState
from cumulet.services.image.contract import HostImages
from cumulet.settings.block_storage import BlockStorage
from cumulet.settings.compute import Compute
from cumulet.settings.devices import Devices, Pci
from support.certificates import Authority
from support.libvirtd import Daemon
from support.waiting import until

MIB = 1 << 20
HEADER = 2 * MIB
PATTERN = b"plain to the guest" * 64
CONTAINER = {"cipher": "aes-xts-plain64", "key_size": 256, "passphrase": "0123456789abcdef" * 2}
KEY = str(CONTAINER["passphrase"]).encode()


class Lab:
    """A host whose one server is a domain."""

    def __init__(self, folder: Path, daemon: Daemon) -> None:
        self.folder, self.daemon, self.asked, self.answers = folder, daemon, 0, True
        self._authority, self._image = Authority(), folder / "image"
        self._image.write_bytes(DEAF_SECTOR.ljust(IMAGE_SIZE, b"\0"))
        self.begin()
        self.server = new_uuid()
        self.ask(
            "server.build", spec={"id": self.server, "vcpus": 1, "ram": 32, "image_id": "i", "image_format": "raw"}
        )

    def begin(self) -> None:
        """An agent starts, the first or one that comes after it."""
        contracts = Contracts()
        contracts.offer(HostImages, lambda: SimpleNamespace(base=lambda _image_id: self._image))
        self._loop = Loop()
        driver = Compute(driver="libvirt", accelerator="tcg", libvirt_uri=self.daemon.uri, stop_timeout=5.0)
        settings = SimpleNamespace(
            compute=driver, block_storage=BlockStorage(driver="file"), pci=Pci(), devices=Devices(), address="127.0.0.1"
        )
        host = Host(
            name="lab", state=self.folder, run_dir=self.folder / "run", settings=settings, loop=self._loop,
            contracts=contracts, emit=lambda *_: None, call=self._call,
        )  # fmt: skip
        self.compute = compute.create(host)
        self.services: list[HostService] = [block_storage.create(host), self.compute]
        self._verbs = {name: verb for service in self.services for name, verb in service.verbs.items()}
        for service in self.services:
            service.start()

    def leave(self) -> None:
        for service in reversed(self.services):
            service.stop()
        self._loop.close()

    def ask(self, verb: str, **body: Any) -> Any:
        return self._verbs[verb](body)

    def attach(self, volume: str, **more: Any) -> None:
        words = {"volume_id": volume, "attachment_id": f"of-{volume}", "generation": 1, **more}
        self.ask("server.attach_volume", id=self.server, volume=words)

    def detach(self, volume: str) -> None:
        """The guest hears nothing, so that its power is taken away."""
        self.ask("server.stop", id=self.server, timeout=0)
        self.ask("server.detach_volume", id=self.server, volume_id=volume)

    def work(self, volume: str, *words: str) -> None:
        """Work through the device that the guest has."""
        with self.compute._hypervisor._domain(self.server) as domain:
            entry = next(each for each in domain.ask_monitor("query-block") if volume in str(each.get("qdev")))
            for each in words:
                line = f'qemu-io -d {entry["qdev"]} "{each}"'
                domain.ask_monitor("human-monitor-command", **{"command-line": line})

    def size(self, volume: str) -> int:
        """The size of the disk that the guest has."""
        with self.compute._hypervisor._domain(self.server) as domain:
            found = domain.ask_monitor("query-block")
            return next(each["inserted"]["image"]["virtual-size"] for each in found if volume in str(each.get("qdev")))

    def description(self) -> str:
        with self.compute._hypervisor._domain(self.server) as domain:
            return write(domain.description())

    def export(self, volume: str) -> Path:
        return self.folder / "block_storage" / "exports" / volume

    def path(self, volume: str) -> Path:
        return self.folder / "block_storage" / "volumes" / f"{volume}.qcow2"

    def close(self) -> None:
        self.ask("server.destroy", id=self.server)
        for place in self.export("").iterdir():
            self.ask("volume.delete", id=place.name)
        self.leave()

    def _call(self, verb: str, body: dict[str, Any], **_words: Any) -> Any:
        """The control plane."""
        if verb == "volume.certificate":
            return {"certificate": self._authority.sign("lab", body["request"]), "authority": self._authority.pem}
        assert verb == "volume.key"
        self.asked += 1
        if not self.answers:
            raise NotReady("there is no link to the control plane", code="LinkLost")
        return {"passphrase": CONTAINER["passphrase"]}


@pytest.fixture(scope="module")
def lab(libvirtd: Daemon) -> Iterator[Lab]:
    """Exports are reached in the daemon's network."""
    with tempfile.TemporaryDirectory(prefix="servers-") as folder, pytest.MonkeyPatch.context() as patch:
        listen = NbdExporter._listen

        def listen_there(exporter: NbdExporter, volume_id: str, port: int) -> Any:
            home = libvirtd.network()
            try:
                return in_namespace(lambda: listen(exporter, volume_id, port), home)
            finally:
                os.close(home)

        patch.setattr(NbdExporter, "_listen", listen_there)
        for name in ("ca-cert.pem", "client-cert.pem", "client-key.pem"):
            (libvirtd.certificates / name).symlink_to(Path(folder) / "tls" / name)
        made = Lab(Path(folder), libvirtd)
        try:
            yield made
        finally:
            made.close()
            for path in libvirtd.certificates.iterdir():
                path.unlink()


@pytest.fixture(autouse=True)
def running(lab: Lab) -> None:
    lab.ask("server.start", id=lab.server)


@pytest.fixture(scope="module")
def attached(lab: Lab) -> Iterator[str]:
    """An encrypted volume, open in the server, to which its guest has written."""
    volume = new_uuid()
    lab.ask("volume.create", id=volume, size=8 * MIB, container=CONTAINER)
    lab.attach(volume, encrypted=True)
    piece = lab.folder / "piece"
    piece.write_bytes(PATTERN)
    lab.work(volume, f"write -s {piece} 1M 1024", "flush")
    yield volume
    lab.detach(volume)
    assert not lab.export(volume).exists()


def plain(path: Path) -> bytes:
    """What is in the container that is in the file."""
    target = path.with_name("plain")
    with memory_file.holding(KEY) as key:
        source = f"driver=luks,key-secret=key,file.driver=qcow2,file.file.driver=file,file.file.filename={path}"
        words = ["--object", f"secret,id=key,file={memory_file.path_of(key)}", "--image-opts", source]
        subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", *words, target], check=True, pass_fds=[key])
    return target.read_bytes()


def test_what_a_domain_writes_is_ciphertext(lab: Lab, attached: str) -> None:
    """So is a snapshot of the open disk. The key stands in no file and not in what libvirt tells."""
    snapshot = new_uuid()
    lab.ask("volume.snapshot", id=snapshot, volume_id=attached, attached=True, generation=1)
    path = lab.folder / "block_storage" / "snapshots" / f"{snapshot}.qcow2"
    for one in (path, lab.path(attached)):
        assert PATTERN[:18] not in one.read_bytes()
    assert plain(path)[MIB : MIB + 1024] == PATTERN[:1024]
    assert KEY not in lab.description().encode()
    assert "luks" in lab.description()
    files = [each for top in (lab.folder, lab.daemon.folder) for each in top.rglob("*") if each.is_file()]
    assert [each for each in files if KEY in each.read_bytes()] == []
    assert KEY not in Path(f"/proc/{lab.daemon.pid_of(lab.server)}/cmdline").read_bytes()


def test_an_open_disk_grows(lab: Lab, attached: str) -> None:
    size = lab.size(attached) + 4 * MIB
    for _ in range(2):
        words = {"volume_id": attached, "size": size + HEADER, "generation": 1}
        assert lab.ask("server.resize_disk", id=lab.server, **words) == {"done": True}
        assert lab.size(attached) == size
    lab.work(attached, f"write -P 5 {size - MIB} 512", "flush")
    found = plain(lab.path(attached))
    assert (len(found), found[size - MIB]) == (size, 5)


def test_libvirt_copies_no_decrypted_content(lab: Lab, attached: str) -> None:
    target, other = lab.folder / "copy", new_uuid()
    with pytest.raises(Conflict, match="no encrypted"):
        lab.compute.disks.copy(attached, target, "raw")
    lab.ask("volume.create", id=other, size=32 * MIB)
    words = {"volume_id": other, "attachment_id": "other", "generation": 1}
    with pytest.raises(Conflict, match="no encrypted"):
        lab.ask("server.swap_volume", id=lab.server, volume_id=attached, volume=words)
    assert not target.exists()
    lab.ask("volume.delete", id=other, attached=False)


def test_a_domain_starts_and_goes_on_with_its_encrypted_disk(lab: Lab, attached: str) -> None:
    """The daemon is told the key each time, and forgets it: another secret may have its name."""
    asked = lab.asked
    lab.ask("server.stop", id=lab.server, timeout=0)
    with lab.services[0].disks.closed([attached], attached=False):  # type: ignore[attr-defined]
        assert not lab.export(attached).exists()
    lab.answers = False
    with pytest.raises(NotReady):
        lab.ask("server.start", id=lab.server)
    lab.answers = True
    lab.ask("server.start", id=lab.server)
    lab.ask("server.suspend", id=lab.server)
    lab.ask("server.resume", id=lab.server)
    assert lab.asked == asked + 3
    lab.work(attached, "write -P 6 4M 512", "flush")
    assert plain(lab.path(attached))[4 * MIB] == 6
    number = secrets.key_of(lab.server, attached)
    usage = f"<usage type='volume'><volume>cumulet {number}</volume></usage>"
    with lab.compute._hypervisor._domain(lab.server) as domain:
        words = f"<secret ephemeral='yes' private='yes'><uuid>{new_uuid()}</uuid>{usage}</secret>"
        secret = domain._connection.call("virSecretDefineXML", words.encode(), 0)
    for last in ("virSecretUndefine", "virSecretFree"):
        call(last, secret)


def test_an_encrypted_disk_outlives_agent_daemon_and_exporter(lab: Lab, attached: str) -> None:
    lab.leave()
    lab.daemon.stop()
    lab.daemon.start()
    lab.begin()
    lab.work(attached, "write -P 7 2M 512", "flush")
    assert plain(lab.path(attached))[2 * MIB] == 7
    with detached.Process.of(lab.export(attached) / PID_FILE) as process:  # type: ignore[union-attr]
        process.kill()

    def write_on() -> bool:
        lab.work(attached, "write -P 8 3M 512", "flush")
        return plain(lab.path(attached))[3 * MIB] == 8

    until(write_on)
    assert lab.ask("server.power", id=lab.server) == {"power": PowerState.RUNNING}


def test_a_volume_of_another_host_is_opened(lab: Lab) -> None:
    volume = new_uuid()
    lab.ask("volume.create", id=volume, size=8 * MIB)
    remote = lab.ask("volume.export", id=volume, generation=1, client="lab", shared=True)
    lab.attach(volume, remote=remote)
    lab.work(volume, "write -P 5 1M 512", "flush")
    lab.detach(volume)
    assert lab.export(volume).exists()
    lab.ask("volume.unexport", id=volume, generation=1)
    read = ["qemu-io", "-r", "-f", "qcow2", "-c", "read -P 5 1M 512", lab.path(volume)]
    assert b"verification failed" not in subprocess.run(read, check=True, capture_output=True).stdout


def test_another_key_opens_nothing(lab: Lab) -> None:
    volume = new_uuid()
    lab.ask("volume.create", id=volume, size=4 * MIB, container={**CONTAINER, "passphrase": "another"})
    with pytest.raises(Conflict, match="Invalid password"):
        lab.attach(volume, encrypted=True)
    lab.ask("server.detach_volume", id=lab.server, volume_id=volume)
    assert not lab.export(volume).exists()
    lab.ask("volume.delete", id=volume, attached=False)
