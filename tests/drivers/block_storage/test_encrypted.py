# SPDX-License-Identifier: Apache-2.0
"""Encrypted volumes in a real server: plain to its guest alone, ciphertext in every file that is made of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cumulet.kernel import detached, memory_file
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict, Invalid, NotReady
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.link.host import Host, HostService, Journal
from cumulet.kernel.loop import Loop
from cumulet.kernel.qmp import Monitor
from cumulet.services.block_storage import agent as block_storage
from cumulet.services.block_storage.contract import HostVolumes
from cumulet.services.compute import agent as compute
from cumulet.services.compute.agent import latecomers, servers
from cumulet.services.compute.types import PowerState
from cumulet.services.image.contract import HostImages
from cumulet.settings.block_storage import BlockStorage
from cumulet.settings.compute import Compute
from cumulet.settings.devices import Devices, Pci
from support.waiting import until

MIB = 1 << 20
HEADER = 2 * MIB
IDLE = bytes.fromhex("faf4ebfc").ljust(510, b"\0") + b"\x55\xaa"  # cli; hlt; again
PATTERN = b"plain to the guest" * 64
CONTAINER = {"cipher": "aes-xts-plain64", "key_size": 512, "passphrase": "0123456789abcdef" * 4}


class Lab:
    """A host with one server; `answers` is whether the control plane is there to be asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.volumes = folder, folder / "block_storage" / "volumes"
        self.image, self.pushed, self.asked, self.answers = folder / "image", folder / "pushed", 0, True
        self.image.write_bytes((IDLE + PATTERN).ljust(MIB, b"\0"))
        contracts = Contracts()
        images = SimpleNamespace(base=lambda _id: self.image, push=lambda _id, path: path.rename(self.pushed))
        contracts.offer(HostImages, lambda: images)
        self._loop = Loop()
        settings = SimpleNamespace(
            compute=Compute(driver="qemu", accelerator="tcg", stop_timeout=5.0), block_storage=BlockStorage(),
            pci=Pci(), devices=Devices(), address="127.0.0.1",
        )  # fmt: skip
        self.host = host = Host(
            name="lab", state=folder, run_dir=folder / "run", settings=settings, loop=self._loop, contracts=contracts,
            emit=lambda *_: None, call=self._call,
        )  # fmt: skip
        self.services: list[HostService] = [block_storage.create(host), compute.create(host)]
        self._verbs = {name: verb for service in self.services for name, verb in service.verbs.items()}
        for service in self.services:
            service.start()
        self.server = new_uuid()
        spec = {"id": self.server, "vcpus": 1, "ram": 32, "image_id": "image", "image_format": "raw"}
        self.ask("server.build", spec=spec)

    def ask(self, verb: str, **body: Any) -> Any:
        return self._verbs[verb](body)

    def attach(self, volume: str, **more: Any) -> None:
        words = {"volume_id": volume, "attachment_id": f"of-{volume}", "generation": 1, "encrypted": True, **more}
        self.ask("server.attach_volume", id=self.server, volume=words)

    def detach(self, volume: str) -> None:
        """The guest hears nothing, so that its power is taken away for a moment."""
        self.ask("server.stop", id=self.server, timeout=0)
        self.ask("server.detach_volume", id=self.server, volume_id=volume)
        self.ask("server.start", id=self.server)

    def path(self, volume: str) -> Path:
        return self.volumes / f"{volume}.qcow2"

    def write(self, volume: str, words: str) -> None:
        """Write through the device that the guest has, down to the disk."""

        async def do(monitor: Monitor) -> None:
            for entry in await monitor.execute("query-block"):
                if volume in str(entry.get("qdev")):
                    for work in (f"write {words}", "flush"):
                        line = f'qemu-io -d {entry["qdev"]} "{work}"'
                        await monitor.execute("human-monitor-command", command_line=line)

        self._on_monitor(do)

    def size(self, volume: str) -> int:
        """The size of the disk that the guest has."""

        async def do(monitor: Monitor) -> int:
            found = await monitor.execute("query-block")
            return next(each["inserted"]["image"]["virtual-size"] for each in found if volume in str(each.get("qdev")))

        return self._on_monitor(do)

    def argv(self) -> bytes:
        pid = detached.find(self.folder / "compute" / "servers")[self.server]
        return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()

    def close(self) -> None:
        self.ask("server.destroy", id=self.server)
        for service in self.services:
            service.stop()
        self._loop.close()

    def _on_monitor(self, job: Any) -> Any:
        path = self.folder / "compute" / "servers" / self.server / "control.sock"

        async def converse() -> Any:
            async with await Monitor.connect(path) as monitor:
                return await job(monitor)

        return self._loop.wait(converse())

    def _call(self, verb: str, body: dict[str, Any], **_words: Any) -> Any:
        assert verb == "volume.key"
        assert body["id"].startswith("of-")
        self.asked += 1
        if not self.answers:
            raise NotReady("there is no link to the control plane", code="LinkLost")
        return {"passphrase": CONTAINER["passphrase"]}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("m"))
    yield lab
    lab.close()


@pytest.fixture
def attached(lab: Lab) -> Iterator[str]:
    """An encrypted volume, open in the server, to which its guest has written."""
    volume = new_uuid()
    lab.ask("volume.create", id=volume, size=8 * MIB, container=CONTAINER)
    lab.attach(volume)
    piece = lab.folder / "piece"
    piece.write_bytes(PATTERN)
    lab.write(volume, f"-s {piece} 1M 1024")
    yield volume
    lab.detach(volume)


def plain(path: Path, passphrase: str = CONTAINER["passphrase"], kind: str = "qcow2") -> bytes:
    """What is in the container that is in the file; CalledProcessError where the passphrase does not open it."""
    target = path.with_name("plain")
    with memory_file.holding(passphrase.encode()) as key:
        source = f"driver=luks,key-secret=key,file.driver={kind},file.file.driver=file,file.file.filename={path}"
        words = ["--object", f"secret,id=key,file={memory_file.path_of(key)}", "--image-opts", source]
        argv = ["qemu-img", "convert", "-O", "raw", *words, str(target)]
        subprocess.run(argv, check=True, capture_output=True, pass_fds=[key])
    try:
        return target.read_bytes()
    finally:
        target.unlink()


def flat(path: Path) -> bytes:
    """The disk's content without its key."""
    target = path.with_name("flat")
    subprocess.run(["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", path, target], check=True)
    try:
        return target.read_bytes()
    finally:
        target.unlink()


def test_what_a_guest_writes_is_ciphertext_on_the_disk(lab: Lab, attached: str) -> None:
    assert lab.size(attached) == 8 * MIB - HEADER
    lab.detach(attached)
    path = lab.path(attached)
    source = f"driver=luks,file.driver=qcow2,file.file.driver=file,file.file.filename={path}"
    argv = ["qemu-img", "info", "--output=json", "--image-opts", source]
    info = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    assert info["encrypted"]
    assert info["format"] == "luks"
    assert info["format-specific"]["data"]["cipher-alg"] == "aes-256"
    assert PATTERN[:18] not in path.read_bytes()
    assert PATTERN[:18] not in flat(path)
    assert plain(path)[MIB : MIB + 1024] == PATTERN[:1024]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        plain(path, "another key")
    assert b"Invalid password" in refused.value.stderr


def test_copies_of_an_open_disk_are_ciphertext(lab: Lab, attached: str) -> None:
    snapshot, volume = new_uuid(), new_uuid()
    lab.ask("volume.snapshot", id=snapshot, volume_id=attached, attached=True, generation=1)
    assert PATTERN[:18] not in flat(lab.volumes.parent / "snapshots" / f"{snapshot}.qcow2")
    lab.ask("volume.create", id=volume, size=16 * MIB, snapshot_id=snapshot)
    found = plain(lab.path(volume))
    assert found[MIB : MIB + 1024] == PATTERN[:1024]
    assert len(found) == 16 * MIB - HEADER
    clone = new_uuid()
    lab.ask("volume.create", id=clone, size=8 * MIB, source_volume_id=attached, source_generation=1)
    assert plain(lab.path(clone))[MIB : MIB + 1024] == PATTERN[:1024]
    lab.ask("volume.upload", id=attached, image_id=new_uuid(), format="qcow2", attached=True, generation=1)
    assert PATTERN[:18] not in flat(lab.pushed)
    assert plain(lab.pushed)[MIB : MIB + 1024] == PATTERN[:1024]


def test_an_open_disk_grows(lab: Lab, attached: str) -> None:
    for _ in range(2):
        answer = lab.ask("volume.extend", id=attached, size=12 * MIB, attached=True, generation=1)
        assert answer == {"size": 12 * MIB}
        assert lab.size(attached) == 12 * MIB - HEADER
    lab.write(attached, "-P 5 9M 512k")
    lab.detach(attached)
    lab.ask("volume.extend", id=attached, size=16 * MIB)
    assert plain(lab.path(attached))[9 * MIB :][:512] == b"\5" * 512


def test_a_server_starts_with_its_encrypted_disk(lab: Lab, attached: str) -> None:
    """The key is asked for again, and stands nowhere: not in the journal, nor among the arguments."""
    asked = lab.asked
    lab.ask("server.stop", id=lab.server, timeout=0)
    lab.answers = False
    with pytest.raises(NotReady):
        lab.ask("server.start", id=lab.server)
    lab.answers = True
    lab.ask("server.start", id=lab.server)
    assert lab.asked == asked + 2
    snapshot = new_uuid()
    lab.ask("volume.snapshot", id=snapshot, volume_id=attached, attached=True, generation=1)
    assert plain(lab.volumes.parent / "snapshots" / f"{snapshot}.qcow2")[MIB : MIB + 1024] == PATTERN[:1024]
    phrase = CONTAINER["passphrase"].encode()
    assert phrase not in lab.argv()
    held = [path for path in lab.folder.rglob("*") if path.is_file() and phrase in path.read_bytes()]
    assert held == []


def test_a_server_comes_back_when_its_key_can_be_had(lab: Lab, attached: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a start of the machine the host has no link yet; without the control plane the server waits for it."""
    monkeypatch.setattr(latecomers, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(servers, "boot_id", lambda: "another run of the machine")
    lab.ask("server.stop", id=lab.server, timeout=0)
    journal = Journal(lab.folder / "journal" / "servers")
    journal.put(lab.server, {**journal.get(lab.server), "wish": "running", "boot_id": "the last run"})
    lab.answers, asked = False, lab.asked
    contracts = Contracts()
    for protocol in (HostImages, HostVolumes):
        contracts.offer(protocol, lambda protocol=protocol: lab.host.contracts.use(protocol))
    host = compute.create(replace(lab.host, contracts=contracts))
    try:
        host.start()
        assert host.report()["servers"] == {lab.server: PowerState.RUNNING}
        until(lambda: lab.asked > asked + 1)
        assert journal.get(lab.server)["boot_id"] == "the last run"
        lab.answers = True
        until(lambda: journal.get(lab.server)["boot_id"] == "another run of the machine")
        assert lab.size(attached) == 8 * MIB - HEADER
    finally:
        lab.answers = True
        host.stop()


def test_an_image_is_written_through_the_container(lab: Lab) -> None:
    volume = new_uuid()
    lab.ask("volume.create", id=volume, size=4 * MIB, image_id="image", image_format="raw", container=CONTAINER)
    assert PATTERN[:18] not in flat(lab.path(volume))
    assert plain(lab.path(volume))[:MIB] == lab.image.read_bytes()
    with pytest.raises(Conflict):
        lab.ask("volume.create", id=volume, size=8 * MIB, container=CONTAINER)
    lab.image.write_bytes((IDLE + b"another" * 64).ljust(MIB, b"\0"))
    words = {"image_id": "image", "image_format": "raw", "operation": "one"}
    lab.ask("volume.reimage", id=volume, container=CONTAINER, **words)
    assert plain(lab.path(volume))[:MIB] == lab.image.read_bytes()


def test_another_key_opens_nothing(lab: Lab) -> None:
    volume = new_uuid()
    lab.ask("volume.create", id=volume, size=4 * MIB, container={**CONTAINER, "passphrase": "another"})
    with pytest.raises(Conflict) as refused:
        lab.attach(volume)
    assert "Invalid password" in refused.value.message
    # Nothing of it is left open.
    lab.ask("volume.delete", id=volume, attached=False)


def test_encrypted_disks_are_not_exchanged(lab: Lab, attached: str) -> None:
    other = new_uuid()
    lab.ask("volume.create", id=other, size=8 * MIB)
    with pytest.raises(Conflict):
        lab.ask("server.swap_volume", id=lab.server, volume_id=attached, volume={"volume_id": other, "generation": 2})
    assert lab.size(attached) == 8 * MIB - HEADER
    assert lab.path(other).exists()


def test_content_is_encrypted_anew(lab: Lab) -> None:
    """A repetition finds it done, also where the host has died before it knew; so does the way back."""
    volume, other = new_uuid(), {**CONTAINER, "key_size": 256, "passphrase": "fedcba9876543210" * 4}
    words = {"id": volume, "size": 8 * MIB, "backend": "", "source": ""}
    lab.image.write_bytes((IDLE + PATTERN).ljust(MIB, b"\0"))
    lab.ask("volume.create", id=volume, size=8 * MIB, image_id="image", image_format="raw")
    image, path = lab.image.read_bytes(), lab.path(volume)
    steps = [("", CONTAINER), (CONTAINER["passphrase"], other), (other["passphrase"], None), ("", other)]
    for number, (have, container) in enumerate(steps):
        for again in ("a", "a", "b"):
            before = path.stat().st_ino
            lab.ask("volume.recode", **words, passphrase=have, container=container, operation=f"{number}{again}")
            assert (again, number) == ("a", number) or path.stat().st_ino == before
        seen = flat(path) if container is None else plain(path, container["passphrase"])
        assert (PATTERN[:18] in flat(path)) is (container is None)
        assert seen[:MIB] == image
        assert not any(seen[MIB:])
        assert len(seen) == 8 * MIB - (HEADER if container else 0)
    assert lab.ask("volume.report")["backends"][0]["volumes"].count(volume) == 1
    lab.ask("volume.delete", id=volume)


def test_what_has_no_room_for_a_header_stays_plain(lab: Lab) -> None:
    volume = new_uuid()
    lab.image.write_bytes(PATTERN.ljust(8 * MIB, b"\1"))
    lab.ask("volume.create", id=volume, size=8 * MIB, image_id="image", image_format="raw")
    words = {"id": volume, "size": 8 * MIB, "backend": "", "source": "", "operation": "one", "passphrase": ""}
    with pytest.raises(Invalid, match="no room"):
        lab.ask("volume.recode", **words, container=CONTAINER)
    assert flat(lab.path(volume)) == lab.image.read_bytes()
    lab.ask("volume.extend", id=volume, size=12 * MIB)
    lab.ask("volume.recode", **{**words, "size": 12 * MIB}, container=CONTAINER)
    assert plain(lab.path(volume))[: 8 * MIB] == lab.image.read_bytes()
    lab.ask("volume.delete", id=volume)
