# SPDX-License-Identifier: Apache-2.0
"""What every exporter of volumes must do, and what only the real one can show: certificates, bytes, kills."""

from __future__ import annotations

import hashlib
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel import detached
from cumulet.kernel.errors import NotReady
from cumulet.kernel.link.host import Journal
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage.agent.credentials import lay_out
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.drivers.fake import FakeBackend, FakeExporter
from cumulet.services.block_storage.drivers.file import FileBackend
from cumulet.services.block_storage.drivers.nbd import PID_FILE, NbdExporter
from support.certificates import Authority
from support.waiting import until

MIB = 1 << 20
SIZE = 16 * MIB
ADDRESS = "127.0.0.1"
LEAKS = 3  # what qemu-img check answers where room was taken and not used: nothing is lost by it


class Lab:
    """A host with volumes, an exporter, and the certificates of two other hosts."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.ended: list[str] = []
        self.expelled = False
        self.tell: Callable[[str], None] = self.ended.append
        self._loop = Loop()
        authority = Authority()
        for host in ("host-a", "host-b", "host-c"):
            lay_out(authority.give(host, folder / host))
        lay_out(Authority().give("host-b", folder / "forged"))
        fake = FakeBackend(folder / "store")
        self.backend: Any = fake if kind == "fake" else FileBackend(folder / "store")
        self.exporter: Any = self.make()

    def make(self) -> Any:
        """An agent's exporter, the first or one that comes after it."""
        if self.kind == "fake":
            return FakeExporter(self.backend, Journal(self.folder / "exports"), lambda volume: self.tell(volume))
        return NbdExporter(
            self.folder / "exports", self._loop, ADDRESS, self.credentials, lambda volume: self.tell(volume)
        )

    def credentials(self) -> Path:
        if self.expelled:
            raise NotReady("the control plane is away")
        return self.folder / "host-a"

    def export(self, volume: str, client: str = "host-b", port: int = 0) -> int:
        return self.exporter.export(volume, self.backend.source(volume), client.split(), port)  # type: ignore[no-any-return]

    def kill(self, volume: str) -> None:
        if self.kind == "fake":
            self.exporter.die(volume)
            return
        with detached.Process.of(self.folder / "exports" / volume / PID_FILE) as process:  # type: ignore[union-attr]
            process.kill()

    def image(self, volume: str, port: int, *, tls: bool = True, server: str = "host-a", wait: int = 0) -> str:
        words = f"driver=nbd,server.type=inet,server.host={ADDRESS},server.port={port},export={volume}"
        secure = f",tls-creds=tls,tls-hostname={server},reconnect-delay={wait},open-timeout={wait}"
        return words + (secure if tls else "")

    def program(self, name: str, certificate: str | None, *words: str) -> subprocess.CompletedProcess[str]:
        """Run qemu-io or qemu-img with a host's certificate."""
        folder = self.folder / (certificate or "")
        objects = (
            []
            if certificate is None
            else ["--object", f"tls-creds-x509,id=tls,endpoint=client,sanity-check=off,dir={folder}"]
        )
        before = ["qemu-io", *objects] if name == "io" else ["qemu-img", "convert", *objects]
        return subprocess.run([*before, *words], capture_output=True, text=True, timeout=100)

    def close(self) -> None:
        for volume in self.exporter.exports():
            self.exporter.stop(volume)
        self.exporter.close()
        self._loop.close()


@pytest.fixture(params=["fake", "nbd"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(request.param, tmp_path)
    yield made
    made.close()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Lab]:
    made = Lab("nbd", tmp_path)
    yield made
    made.close()


def test_exporting_twice_is_once(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    lab.backend.create_blank("v2", SIZE)
    port = lab.export("v1")
    assert lab.export("v1") == port
    assert lab.export("v1", port=port) == port
    assert lab.export("v2") != port
    assert lab.exporter.exports() == ["v1", "v2"]
    for _ in range(2):
        lab.exporter.stop("v1")
    assert lab.exporter.exports() == ["v2"]


def test_exports_outlive_the_agent(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    port = lab.export("v1")
    lab.exporter.close()
    lab.exporter = lab.make()
    assert lab.exporter.exports() == ["v1"]
    assert lab.export("v1", port=port) == port


def test_an_end_that_nobody_asked_for_is_told(lab: Lab) -> None:
    lab.backend.create_blank("v1", SIZE)
    port = lab.export("v1")
    lab.kill("v1")
    until(lambda: lab.ended == ["v1"])
    assert lab.export("v1", port=port) == port
    lab.exporter.stop("v1")
    assert lab.ended == ["v1"]


def test_an_exported_volume_grows_and_is_copied(lab: Lab, tmp_path: Path) -> None:
    lab.backend.create_blank("v1", SIZE)
    lab.export("v1")
    lab.exporter.resize("v1", 2 * SIZE)
    lab.exporter.resize("v1", 2 * SIZE)
    assert lab.backend.size("v1") == 2 * SIZE
    target = tmp_path / "copy"
    with target.open("wb") as file:
        file.truncate(2 * SIZE)
    lab.exporter.copy("v1", target, "raw")


def test_what_is_not_exported_does_not_answer(lab: Lab, tmp_path: Path) -> None:
    lab.backend.create_blank("v1", SIZE)
    lab.exporter.stop("v1")
    with pytest.raises(NotReady):
        lab.exporter.resize("v1", SIZE)
    with pytest.raises(NotReady):
        lab.exporter.copy("v1", tmp_path / "copy", "raw")


def test_only_the_host_that_is_meant_gets_in(real: Lab) -> None:
    real.backend.create_blank("v1", SIZE)
    port = real.export("v1")
    write = ("-c", "write -P 7 0 1M", "--image-opts")
    assert real.program("io", "host-b", *write, real.image("v1", port)).returncode == 0
    for certificate in ("host-c", "forged"):
        refused = real.program("io", certificate, *write, real.image("v1", port))
        assert refused.returncode != 0, certificate
    plain = real.program("io", None, *write, real.image("v1", port, tls=False))
    assert plain.returncode != 0
    assert "TLS" in plain.stderr
    other_name = real.program("io", "host-b", *write, real.image("v2", port))
    assert other_name.returncode != 0
    impostor = real.program("io", "host-b", *write, real.image("v1", port, server="host-c"))
    assert "does not match the hostname" in impostor.stderr


def test_another_client_takes_the_place_of_the_first(real: Lab) -> None:
    real.backend.create_blank("v1", SIZE)
    port = real.export("v1")
    assert real.export("v1", "host-c", port) == port
    read = ("-c", "read 0 512", "--image-opts", real.image("v1", port))
    assert real.program("io", "host-b", *read).returncode != 0
    assert real.program("io", "host-c", *read).returncode == 0


def test_several_clients_see_what_each_writes(real: Lab) -> None:
    real.backend.create_blank("v1", SIZE)
    port = real.export("v1", "host-b host-c")
    image = real.image("v1", port)
    for writer, reader, pattern in (("host-b", "host-c", 5), ("host-c", "host-b", 6)):
        assert real.program("io", writer, "-c", f"write -P {pattern} 0 64k", "--image-opts", image).returncode == 0
        seen = real.program("io", reader, "-c", f"read -P {pattern} 0 64k", "--image-opts", image)
        assert seen.returncode == 0, seen.stdout
        assert "verification failed" not in seen.stdout


def test_an_exporter_without_a_certificate_refuses(real: Lab) -> None:
    real.backend.create_blank("v1", SIZE)
    real.expelled = True
    with pytest.raises(NotReady):
        real.export("v1")


def test_a_copy_through_the_exporter_holds_what_was_written(real: Lab, tmp_path: Path) -> None:
    real.backend.create_blank("v1", SIZE)
    port = real.export("v1")
    assert (
        real.program("io", "host-b", "-c", "write -P 9 1M 64k", "--image-opts", real.image("v1", port)).returncode == 0
    )
    real.backend.snapshot("s1", "v1", lambda target, kind: real.exporter.copy("v1", target, kind) or True)
    real.backend.create_from_snapshot("v2", SIZE, "s1")
    raw = tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", real.backend.source("v2").path, raw], check=True)
    assert raw.read_bytes()[MIB : MIB + 65536] == b"\x09" * 65536


def test_kills_in_the_middle_of_writes_cost_a_pause_and_no_byte(real: Lab, tmp_path: Path) -> None:
    """Random data goes in while the daemon is killed again and again; it is never told to flush."""
    real.backend.create_blank("v1", SIZE)
    exports = Exports("host-a", ADDRESS, Journal(tmp_path / "journal"), real.backend)
    real.tell = exports.ended
    exports.use(real.exporter)
    remote = exports.begin("v1", 1, "host-b")
    content = random.Random(1).randbytes(SIZE)
    source = tmp_path / "content"
    source.write_bytes(content)
    done: list[subprocess.CompletedProcess[str]] = []

    def write() -> None:
        image = real.image("v1", remote.port, wait=90)
        slowly = ("-r", str(SIZE // 2))  # bytes a second: a quick machine would be done before the first kill
        how = ("-n", "-t", "writeback", "-f", "raw", *slowly, "--target-image-opts")
        done.append(real.program("img", "host-b", *how, str(source), image))

    writer = threading.Thread(target=write)
    writer.start()
    kills = 0
    while writer.is_alive() and kills < 5:
        time.sleep(0.15)
        if real.exporter.exports() and writer.is_alive():
            real.kill("v1")
            kills += 1
    writer.join()
    assert kills
    assert done[0].returncode == 0, done[0].stderr
    exports.end("v1", 1)
    exports.close()
    checked = subprocess.run(["qemu-img", "check", "-q", real.backend.source("v1").path], capture_output=True)
    assert checked.returncode in (0, LEAKS)
    raw = tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", real.backend.source("v1").path, raw], check=True)
    assert hashlib.sha256(raw.read_bytes()).digest() == hashlib.sha256(content).digest()
