# SPDX-License-Identifier: Apache-2.0
"""What every exporter of volumes must do, and what only the real one can show: certificates, bytes, kills."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from iscsi_login import Login

from cumulet.kernel import detached
from cumulet.kernel.errors import Conflict, Invalid, NotFound, NotReady
from cumulet.kernel.link.host import Journal
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage.agent.backends import Backends, Kept
from cumulet.services.block_storage.agent.credentials import lay_out
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.contract import FileDisk, NetworkSource, RemoteDisk
from cumulet.services.block_storage.drivers import nbd
from cumulet.services.block_storage.drivers.base import Door
from cumulet.services.block_storage.drivers.fake import FakeBackend, FakeExporter
from cumulet.services.block_storage.drivers.file import FileBackend
from cumulet.services.block_storage.drivers.iscsi import PID_FILE as TGTD_PID
from cumulet.services.block_storage.drivers.iscsi import IscsiExporter, initiator_of, target_of
from cumulet.services.block_storage.drivers.nbd import PID_FILE, NbdExporter
from cumulet.services.block_storage.drivers.tgt import Target, Tgt
from cumulet.services.block_storage.types.encryption import Container, Recoding
from cumulet.settings.block_storage import FileVolumeBackend
from support.certificates import Authority
from support.waiting import until, when_ready

MIB = 1 << 20
SIZE = 16 * MIB
ADDRESS = "127.0.0.1"
LEAKS = 3  # what qemu-img check answers where room was taken and not used: nothing is lost by it


def free_port() -> int:
    with socket.create_server((ADDRESS, 0)) as server:
        return int(server.getsockname()[1])


class Lab:
    """A host with volumes, an exporter, and the certificates of two other hosts."""

    CROWD = ("host-c", "host-d", "host-e")

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
        raw_or_not = "raw" if kind == "iscsi" else "qcow2"
        self.backend: Any = fake if kind == "fake" else FileBackend(folder / "store", raw_or_not)
        self.port = free_port()
        self.exporter: Any = self.make()

    def make(self) -> Any:
        """An agent's exporter, the first or one that comes after it."""
        if self.kind == "fake":
            return FakeExporter(self.backend, Journal(self.folder / "exports"), lambda volume: self.tell(volume))
        folder = self.folder / "exports"
        if self.kind == "iscsi":
            return IscsiExporter(folder, self._loop, ADDRESS, self.port, lambda volume: self.tell(volume))
        return NbdExporter(folder, self._loop, ADDRESS, self.credentials, lambda volume: self.tell(volume))

    def credentials(self) -> Path:
        if self.expelled:
            raise NotReady("the control plane is away")
        return self.folder / "host-a"

    def export(self, volume: str, client: str = "host-b", port: int = 0) -> int:
        """Export, once a daemon that is slow on a busy machine has started."""
        return when_ready(lambda: self.try_export(volume, client, port))

    def try_export(self, volume: str, client: str = "host-b", port: int = 0) -> int:
        return self.exporter.export(volume, self.backend.source(volume), client.split(), port)  # type: ignore[no-any-return]

    def kill(self, volume: str) -> None:
        if self.kind == "fake":
            self.exporter.die(volume)
            return
        place = TGTD_PID if self.kind == "iscsi" else f"{volume}/{PID_FILE}"
        with detached.Process.of(self.folder / "exports" / place) as process:  # type: ignore[union-attr]
            process.kill()

    def image(self, volume: str, port: int, *, tls: bool = True, server: str = "host-a", wait: int = 0) -> str:
        if self.kind == "iscsi":
            return f"driver=iscsi,transport=tcp,portal={ADDRESS}:{port},target={target_of(volume)},lun=1,@{volume}"
        words = f"driver=nbd,server.type=inet,server.host={ADDRESS},server.port={port},export={volume}"
        secure = f",tls-creds=tls,tls-hostname={server},reconnect-delay={wait},open-timeout={wait}"
        return words + (secure if tls else "")

    def program(self, name: str, certificate: str | None, *words: str) -> subprocess.CompletedProcess[str]:
        """Run qemu-io or qemu-img with a host's certificate."""
        return subprocess.run(self.command(name, certificate, *words), capture_output=True, text=True, timeout=100)

    def command(self, name: str, certificate: str | None, *words: str) -> list[str]:
        folder = self.folder / (certificate or "")
        objects = (
            []
            if certificate is None
            else ["--object", f"tls-creds-x509,id=tls,endpoint=client,sanity-check=off,dir={folder}"]
        )
        if self.kind == "iscsi":
            objects, words = self._prove(certificate or "", words)
        before = ["qemu-io", *objects] if name == "io" else ["qemu-img", "convert", *objects]
        return [*before, *words]

    def _prove(self, client: str, words: tuple[str, ...]) -> tuple[list[str], tuple[str, ...]]:
        """What an initiator says of itself, true or not."""
        volume = words[-1].rpartition("@")[2]
        try:
            door = self.exporter.door(volume, client)
        except NotFound:
            door = Door(export="", initiator=initiator_of(client), user="nobody", secret="guessed-wrong")
        said = f"initiator-name={door.initiator},user={door.user},password-secret=chap"
        return ["--object", f"secret,id=chap,data={door.secret}"], (*words[:-1], words[-1].replace(f"@{volume}", said))

    def target(self, volume: str) -> Target:
        """As the daemon shows it."""
        return Tgt(self.folder / "exports").targets()[target_of(volume)]

    def close(self) -> None:
        for volume in self.exporter.exports():
            self.exporter.stop(volume)
        self.exporter.close()
        self._loop.close()


@pytest.fixture(params=["fake", "nbd", "iscsi"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(request.param, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["nbd", "iscsi"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """One whose volumes can be opened."""
    made = Lab(request.param, tmp_path)
    yield made
    made.close()


@pytest.fixture
def san(tmp_path: Path) -> Iterator[Lab]:
    made = Lab("iscsi", tmp_path)
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
    assert (lab.export("v2") == port) is (lab.kind == "iscsi")
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
    size = 2 * SIZE if lab.backend.capabilities.online_extend and lab.kind != "iscsi" else SIZE
    lab.exporter.resize("v1", size)
    lab.exporter.resize("v1", size)
    assert lab.backend.size("v1") == size
    target = tmp_path / "copy"
    with target.open("wb") as file:
        file.truncate(size)
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


def test_another_client_takes_the_place_of_the_first(opened: Lab) -> None:
    opened.backend.create_blank("v1", SIZE)
    port = opened.export("v1")
    assert opened.export("v1", "host-c", port) == port
    read = ("-c", "read 0 512", "--image-opts", opened.image("v1", port))
    assert opened.program("io", "host-b", *read).returncode != 0
    assert opened.program("io", "host-c", *read).returncode == 0


def test_several_clients_see_what_each_writes(opened: Lab) -> None:
    opened.backend.create_blank("v1", SIZE)
    port = opened.export("v1", "host-b host-c")
    image = opened.image("v1", port)
    for writer, reader, pattern in (("host-b", "host-c", 5), ("host-c", "host-b", 6)):
        assert opened.program("io", writer, "-c", f"write -P {pattern} 0 64k", "--image-opts", image).returncode == 0
        seen = opened.program("io", reader, "-c", f"read -P {pattern} 0 64k", "--image-opts", image)
        assert seen.returncode == 0, seen.stdout
        assert "verification failed" not in seen.stdout


def test_nobody_takes_the_port_of_an_export_that_comes_back(real: Lab) -> None:
    for volume in ("one", "two", "three"):
        real.backend.create_blank(volume, SIZE)
    port = real.export("one")
    real.kill("one")
    until(lambda: real.ended == ["one"])
    assert real.export("two") != port
    real.exporter.close()
    real.exporter = real.make()
    assert real.export("three") != port
    assert real.export("one", port=port) == port


def test_a_daemon_that_never_greets_is_started_anew(real: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    real.backend.create_blank("v1", SIZE)
    command_line, started = NbdExporter._command_line, []

    def silent_first(exporter: NbdExporter, volume_id: str, place: Path, *words: Any) -> list[str]:
        started.append(volume_id)
        if len(started) > 1:
            return command_line(exporter, volume_id, place, *words)
        silent = 'echo $$ > "$2"; while :; do sleep 1; done'
        return ["sh", "-c", silent, "sh", "--pidfile", str(place / PID_FILE)]

    monkeypatch.setattr(NbdExporter, "_command_line", silent_first)
    monkeypatch.setattr(nbd, "GREETING_TIME", 0.5)
    port = real.export("v1")
    assert len(started) > 1
    assert real.export("v1", port=port) == port
    assert real.exporter.exports() == ["v1"]


def test_a_daemon_that_does_not_answer_is_replaced(real: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    real.backend.create_blank("v1", SIZE)
    port = real.export("v1")
    with detached.Process.of(real.folder / "exports" / "v1" / PID_FILE) as silent:  # type: ignore[union-attr]
        os.kill(silent.pid, signal.SIGSTOP)
        monkeypatch.setattr(nbd, "ANSWER_TIME", 0.2)
        with contextlib.suppress(NotReady):  # the new one may be slower than that
            real.try_export("v1")
        monkeypatch.undo()
        assert silent.wait(20)
    assert real.export("v1") == port


def test_an_exporter_without_a_certificate_refuses(real: Lab) -> None:
    real.backend.create_blank("v1", SIZE)
    real.expelled = True
    with pytest.raises(NotReady):
        real.try_export("v1")


def test_a_copy_through_the_exporter_holds_what_was_written(opened: Lab, tmp_path: Path) -> None:
    opened.backend.create_blank("v1", SIZE)
    port = opened.export("v1")
    write = ("-c", "write -P 9 1M 64k", "--image-opts", opened.image("v1", port))
    assert opened.program("io", "host-b", *write).returncode == 0
    opened.backend.snapshot("s1", "v1", lambda target, kind: opened.exporter.copy("v1", target, kind) or True)
    opened.backend.create_from_snapshot("v2", SIZE, "s1")
    raw = tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", opened.backend.source("v2").path, raw], check=True)
    assert raw.read_bytes()[MIB : MIB + 65536] == b"\x09" * 65536


def test_what_another_host_exports_is_encrypted_on_its_way(real: Lab, tmp_path: Path) -> None:
    """And decrypted: the words of another host's disk stand below those of the container."""
    if real.kind == "iscsi":
        pytest.skip("volumes of targets are copied over NBD")
    real.backend.create_blank("moving", 8 * MIB)
    port = real.export("moving")
    real.program("io", "host-b", "-c", "write -P 9 1M 64k", "--image-opts", real.image("moving", port))
    remote = RemoteDisk(address=ADDRESS, port=port, export="moving", server="host-a")
    source, there = NetworkSource(remote=remote, credentials=real.folder / "host-b"), FileBackend(tmp_path / "there")
    container = Container(cipher="aes-xts-plain64", key_size=256, passphrase="word")
    there.receive("moving", 8 * MIB, source, Recoding(container=container))
    real.exporter.stop("moving")
    real.backend.receive("moving", 8 * MIB, there.source("moving"), Recoding(passphrase="word"))
    path = real.backend.source("moving").path
    read = ["qemu-io", "-r", "-f", "qcow2", "-c", "read -P 9 1M 64k", "-c", "read -P 0 0 1M", str(path)]
    found = subprocess.run(read, capture_output=True, text=True)
    assert (found.returncode, "verification failed" in found.stdout) == (0, False), found
    with pytest.raises(NotReady):
        there.receive("gone", 8 * MIB, source, Recoding(container=container))
    assert there.volumes() == ["moving"]
    real.backend.delete("moving")


def test_kills_in_the_middle_of_writes_cost_a_pause_and_no_byte(opened: Lab, tmp_path: Path) -> None:
    """Random data goes in while the daemon is killed again and again; it is never told to flush."""
    opened.backend.create_blank("v1", SIZE)
    backends = Backends([Kept(FileVolumeBackend(name="file"), opened.backend)])
    exports = Exports("host-a", ADDRESS, Journal(tmp_path / "journal"), backends)
    opened.tell = exports.ended
    exports.use(opened.exporter, "file")
    exports.use(opened.exporter, "file", opened.kind)
    remote = exports.begin("v1", 1, "host-b", protocol=opened.kind)
    content = random.Random(1).randbytes(SIZE)
    source = tmp_path / "content"
    source.write_bytes(content)

    def write() -> subprocess.CompletedProcess[str]:
        image = opened.image("v1", remote.port, wait=90)
        slowly = ("-r", str(SIZE // 2))  # bytes a second: a quick machine would be done before the first kill
        how = ("-n", "-t", "writeback", "-f", "raw", *slowly, "--target-image-opts")
        return opened.program("img", "host-b", *how, str(source), image)

    kills = 0
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done() and kills < 5:
            time.sleep(0.15)
            if opened.exporter.exports() and not writing.done():
                opened.kill("v1")
                kills += 1
    written = writing.result()
    assert kills
    assert written.returncode == 0, written.stderr
    exports.end("v1", 1)
    exports.close()
    if opened.kind == "nbd":
        checked = subprocess.run(["qemu-img", "check", "-q", opened.backend.source("v1").path], capture_output=True)
        assert checked.returncode in (0, LEAKS)
    raw = tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", opened.backend.source("v1").path, raw], check=True)
    assert hashlib.sha256(raw.read_bytes()).digest() == hashlib.sha256(content).digest()


def test_initiators_outside_need_the_name_and_the_secret(san: Lab) -> None:
    """As another implementation sees it, which knows nothing but what the API tells."""
    lab = san
    mine, other = "iqn.1993-08.org.debian:01:mine", "iqn.1993-08.org.debian:01:other"
    lab.backend.create_blank("v1", SIZE)
    port = lab.export("v1", mine)
    door = lab.exporter.door("v1", mine)

    def ask(initiator: str, secret: str) -> subprocess.CompletedProcess[str]:
        address = f"iscsi://{door.user}%{secret}@{ADDRESS}:{port}/{door.export}/1"
        return subprocess.run(["iscsi-inq", "-i", initiator, address], capture_output=True, text=True, timeout=20)

    assert "CUMULET" in ask(mine, door.secret).stdout
    assert "Authentication failure" in ask(mine, "guessed-wrong").stderr
    assert "Target not found" in ask(other, door.secret).stderr
    assert lab.export("v1", other) == port
    assert ask(mine, door.secret).returncode != 0
    assert ask(other, door.secret).returncode != 0
    listing = [path for path in Path("/proc").glob("[0-9]*/cmdline") if door.secret.encode() in _read(path)]
    assert listing == []
    assert not any(door.secret in path.read_text() for path in (lab.folder / "exports").glob("*.log"))


def test_a_daemon_comes_back_with_all_of_its_targets_and_their_secrets(san: Lab) -> None:
    lab = san
    for volume in ("v1", "v2"):
        lab.backend.create_blank(volume, SIZE)
        port = lab.export(volume)
    door = lab.exporter.door("v2", "host-b")
    lab.kill("v1")
    until(lambda: sorted(lab.ended) == ["v1", "v2"])
    lab.export("v1")
    read = ("-c", "read 0 512", "--image-opts", lab.image("v2", port))
    assert lab.program("io", "host-b", *read).returncode == 0
    lab.exporter.stop("v1", for_good=False)
    assert lab.program("io", "host-b", *read).returncode != 0
    lab.exporter.close()
    lab.exporter = lab.make()
    lab.export("v2")
    assert lab.exporter.door("v2", "host-b") == door
    assert lab.program("io", "host-b", *read).returncode == 0


def test_nobody_writes_any_more_once_an_export_has_ended(san: Lab) -> None:
    lab = san
    for volume in ("v1", "v2"):
        lab.backend.create_blank(volume, SIZE)
        port = lab.export(volume)
    path = lab.backend.source("v1").path
    words = ("-c", "write -P 1 0 64k", "-c", "sleep 60000", "--image-opts", lab.image("v1", port))
    with subprocess.Popen(lab.command("io", "host-b", *words), stdout=subprocess.DEVNULL) as writer:
        try:
            until(lambda: path.read_bytes()[:4] == b"\1\1\1\1")
            lab.exporter.stop("v1")
            with detached.Process.of(lab.folder / "exports" / TGTD_PID) as daemon:  # type: ignore[union-attr]
                held = [handle.readlink() for handle in Path(f"/proc/{daemon.pid}/fd").iterdir()]
        finally:
            writer.kill()
    assert path not in held
    assert lab.backend.source("v2").path in held


def test_those_that_stay_keep_their_sessions_when_others_come_and_go(san: Lab) -> None:
    lab, mine = san, "iqn.1993-08.org.debian:01:mine"
    lab.backend.create_blank("v1", SIZE)
    port, path = lab.export("v1", f"host-b {mine}"), lab.backend.source("v1").path
    words = ("--image-opts", lab.image("v1", port))
    stays = ("-c", "write -P 1 0 4k", "-c", "sleep 60000", *words)
    goes = ("-c", "write -P 2 4k 4k", "-c", "sleep 60000", *words)
    commands = [lab.command("io", "host-b", *stays), lab.command("io", mine, *goes)]
    with contextlib.ExitStack() as running:
        for command in commands:
            program = running.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            running.callback(program.kill)
        until(lambda: path.read_bytes()[:8192] == b"\1" * 4096 + b"\2" * 4096)
        before = {each[2]: each for each in lab.target("v1").connections}
        for client in (*lab.CROWD, "host-b"):  # accounts that go leave no more places than there were
            lab.export("v1", f"host-b {client}")
        now = lab.target("v1")
        assert now.connections == [before[initiator_of("host-b")]]
        assert now.initiators == {initiator_of("host-b")}
        assert len(now.accounts) == 2
        assert lab.program("io", mine, "-c", "read 0 512", *words).returncode != 0


def test_a_login_that_was_begun_before_does_not_end_as_a_session(san: Lab) -> None:
    """tgt asks nobody again who has proved himself: those that stay have another target then."""
    lab = san
    lab.backend.create_blank("v1", SIZE)
    port = lab.export("v1", "host-b host-c")
    number = lab.target("v1").number
    with contextlib.closing(Login(port, lab.exporter.door("v1", "host-c"))) as login:
        login.prove()
        lab.export("v1", "host-b")
        assert login.end() != 0
    assert lab.target("v1").number != number
    assert lab.target("v1").sessions == set()
    read = ("-c", "read 0 512", "--image-opts", lab.image("v1", port))
    assert lab.program("io", "host-b", *read).returncode == 0
    assert lab.program("io", "host-c", *read).returncode != 0


def test_what_is_no_initiator_and_no_raw_disk_is_refused(san: Lab) -> None:
    lab = san
    lab.backend.create_blank("v1", SIZE)
    with pytest.raises(Invalid):
        lab.export("v1", "iqn.x,password=y")
    lab.export("v1")
    with pytest.raises(Conflict):
        lab.exporter.resize("v1", 2 * SIZE)
    with pytest.raises(Conflict):
        lab.exporter.export("v1", FileDisk(path=lab.folder, format="qcow2"), ["host-b"])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
