# SPDX-License-Identifier: Apache-2.0
"""Backups on a host, of every back end and to every store: what comes back is what was there, to the byte."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import httpx
import pytest

from cumulet.kernel import memory_file
from cumulet.kernel.blob import Blobs, StorageFull
from cumulet.kernel.blob.files import FileBlobs
from cumulet.kernel.blob.swift import Account, SwiftBlobs, SwiftClient
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict, Invalid, NotFound, NotReady
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.link.host import Host
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage import agent as block_storage
from cumulet.services.block_storage.agent import backups, chunks
from cumulet.settings.block_storage import BlockStorage
from cumulet.settings.volume_backups import Bucket, VolumeBackups
from support.cloud import RunningCloud
from support.s3_server import ACCESS_KEY, S3Server

MIB = 1 << 20
SIZE = 4 * MIB


class Machine:
    """A host with volumes of one driver, and a guest's hands on them while they are closed.

    `account` is what orders name where the store is the cloud's own object store.
    """

    def __init__(
        self,
        folder: Path,
        driver: Literal["fake", "file"],
        said: VolumeBackups,
        account: dict[str, str] | None = None,
    ) -> None:
        self.state = folder
        self._account = {} if account is None else {"account": account}
        self._loop = Loop()
        self._driver = driver
        settings = SimpleNamespace(block_storage=BlockStorage(driver=driver), volume_backups=said, address="127.0.0.1")
        host = Host(
            name="lab", state=folder, run_dir=folder / "run", settings=settings, loop=self._loop,
            contracts=Contracts(), emit=lambda *_: None, call=lambda *_: None,
        )  # fmt: skip
        self.service: Any = block_storage.create(host)
        self.service.start()

    def ask(self, verb: str, **body: Any) -> Any:
        return self.service.verbs[verb]({**body, **self._account})

    def close(self) -> None:
        self.service.stop()
        self._loop.close()

    def volume(self, size: int = SIZE) -> str:
        volume = new_uuid()
        self.ask("volume.create", id=volume, size=size)
        return volume

    def write(self, volume: str, offset: int, data: bytes) -> None:
        if self._driver == "fake":
            self.service._backends.get().write(volume, offset, data)
            return
        piece = self.state / "piece"
        piece.write_bytes(data)
        path = self.state / "block_storage" / "volumes" / f"{volume}.qcow2"
        words = ["qemu-io", "-f", "qcow2", "-c", f"write -s {piece} {offset} {len(data)}", str(path)]
        subprocess.run(words, check=True, capture_output=True)

    def content(self, volume: str, size: int = SIZE) -> bytes:
        if self._driver == "fake":
            return bytes(self.service._backends.get().read(volume, 0, size))
        raw = self.state / "raw"
        path = self.state / "block_storage" / "volumes" / f"{volume}.qcow2"
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
        return raw.read_bytes()

    def back_up(self, volume: str, parent: dict[str, str] | None = None) -> dict[str, str]:
        """Where it is stored."""
        name = new_uuid()
        stored = {"container": "c", "name": name}
        self.ask("volume.snapshot", id=name, volume_id=volume)
        words = {"stored": stored, "snapshot_id": name, "volume_id": volume, "parent": parent, "drop": True}
        said = self.through("backup.write", words)
        assert said["done"]
        assert said["volume_id"] == volume
        assert name not in self.ask("volume.report")["snapshots"]
        return stored

    def restore(self, stored: dict[str, str], volume: str, size: int = SIZE, *, new: bool, operation: str = "1") -> Any:
        words = {"id": volume, "size": size, "stored": stored, "operation": operation, "new": new}
        return self.through("backup.restore", words)

    def through(self, verb: str, words: dict[str, Any]) -> Any:
        said: dict[str, Any] = {"part": 0}
        while not said.get("done"):
            said = self.ask(verb, **{**words, "part": said["part"]})
        return said


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An account of an object store, and who may use it."""
    users = {"object_store.temp_auth.users": "user_test_tester = testing .admin"}
    cloud = RunningCloud(tmp_path_factory.mktemp("store"), ("identity", "object_store"), settings=users)
    who = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
    answer = httpx.get(f"{cloud.objects_url()}/auth/v1.0", headers=who)
    yield {"url": answer.headers["x-storage-url"], "token": answer.headers["x-auth-token"]}
    cloud.close()


def s3_settings(server: S3Server) -> VolumeBackups:
    said = Bucket(
        bucket=server.bucket, endpoint=server.endpoint, prefix=f"{new_uuid()}/", access_key=ACCESS_KEY,
        secret_key_file=server.secret_key_file,
    )  # fmt: skip
    return VolumeBackups(driver="s3", s3=said, object_size=MIB)


@pytest.fixture(params=["fake-files", "file-files"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    driver, _, store = request.param.partition("-")
    said = VolumeBackups(object_size=MIB)
    account = None
    if store == "s3":
        said = s3_settings(request.getfixturevalue("bucket"))
    elif store == "swift":
        said, account = VolumeBackups(driver="swift", object_size=MIB), request.getfixturevalue("account")
    machine = Machine(tmp_path / "host", driver, said, account)
    yield machine
    machine.close()


@pytest.fixture(params=["files", "s3", "swift"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "files":
        return FileBlobs(tmp_path / "store")
    if request.param == "swift":
        return SwiftBlobs(SwiftClient(lambda: Account(**request.getfixturevalue("account"))))
    from cumulet.kernel.blob.s3 import S3Blobs, Server

    said = s3_settings(request.getfixturevalue("bucket")).s3
    server = Server(said.endpoint, access_key=said.access_key, secret_key_file=said.secret_key_file)
    return S3Blobs(server, said.bucket, said.prefix)


def test_a_store_keeps_bytes_by_name(store: Blobs) -> None:
    store.put("a/b/one", b"first")
    store.put("a/b/one", b"second")
    store.put("a/b/two", b"")
    store.put("a/bc/one", b"beside")
    assert store.get("a/b/one") == b"second"
    assert store.get("a/b/one", 1, 3) == b"eco"
    assert store.get("a/b/one", 4) == b"nd"
    assert store.get("a/b/one", 2, 0) == b""
    assert store.get("a/b/one", 6, 3) == b""
    assert store.get("a/b/two") == b""
    assert sorted(store.names("a/b")) == ["a/b/one", "a/b/two"]
    assert list(store.names("a/nothing")) == []
    for _ in range(2):
        store.delete("a/b/one")
    with pytest.raises(NotFound):
        store.get("a/b/one")
    for _ in range(2):
        store.delete_all("a/b")
    assert sorted(store.names("a")) == ["a/bc/one"]
    for name in ("../up", "a//b", "/a", ".a", ""):
        with pytest.raises(ValueError, match="not a name"):
            store.put(name, b"")


def test_a_folder_that_is_full_or_away_keeps_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotReady):
        FileBlobs(tmp_path / "mount" / "store").put("a", b"x")
    store = FileBlobs(tmp_path)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageFull):
            store.put("a", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("machine", ["fake-files", "file-files", "file-s3", "fake-swift"], indirect=True)
def test_a_chain_of_backups_comes_back(machine: Machine) -> None:
    volume = machine.volume()
    machine.write(volume, 0, b"a" * 512)
    machine.write(volume, 3 * MIB - 512, os.urandom(200_000))
    moments, chain = [machine.content(volume)], [machine.back_up(volume)]
    machine.write(volume, MIB, b"b" * 70_000)
    machine.write(volume, 3 * MIB, bytes(64 * 1024))
    moments.append(machine.content(volume))
    chain.append(machine.back_up(volume, chain[-1]))
    machine.write(volume, 0, b"c" * 512)
    moments.append(machine.content(volume))
    chain.append(machine.back_up(volume, chain[-1]))
    for moment, stored in zip(moments, chain, strict=True):
        made = new_uuid()
        machine.restore(stored, made, new=True)
        assert machine.content(made) == moment
    large = new_uuid()
    machine.restore(chain[-1], large, 2 * SIZE, new=True)
    assert machine.content(large, 2 * SIZE) == moments[-1] + bytes(SIZE)


def test_backups_of_encrypted_volumes_hold_ciphertext(tmp_path: Path) -> None:
    """Opened by the key of their volume, also where they are written over one that has another."""
    machine = Machine(tmp_path / "host", "file", VolumeBackups(object_size=MIB, compression="none"))
    volume, made, other = new_uuid(), new_uuid(), new_uuid()
    for each, key in ((volume, "a key"), (other, "another key")):
        container = {"cipher": "aes-xts-plain64", "key_size": 256, "passphrase": key}
        machine.ask("volume.create", id=each, size=SIZE, container=container)
    words = b"plain to the guest" * 100
    (machine.state / "words").write_bytes(words)
    opened(machine, volume, "a key", "io", "-c", f"write -s {machine.state / 'words'} 0 {len(words)}")
    before, first = plain(machine, volume, "a key"), machine.back_up(volume)
    opened(machine, volume, "a key", "io", "-c", f"write -P 6 {MIB} 4096")
    later = machine.back_up(volume, first)
    kept = [path for path in (machine.state / "block_storage" / "backups").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) > 4 * 64 * 1024
    assert [path for path in kept if words[:18] in path.read_bytes()] == []
    machine.restore(later, made, new=True)
    machine.restore(first, other, new=False)
    assert plain(machine, made, "a key") == plain(machine, volume, "a key") != before
    assert plain(machine, other, "a key")[: len(words)] == words
    assert plain(machine, other, "a key") == before
    with pytest.raises(subprocess.CalledProcessError):
        plain(machine, other, "another key")
    machine.close()


def opened(machine: Machine, volume: str, passphrase: str, tool: str, *words: str) -> None:
    """Run qemu-io or qemu-img convert on what is in the volume's container."""
    path = machine.state / "block_storage" / "volumes" / f"{volume}.qcow2"
    with memory_file.holding(passphrase.encode()) as key:
        source = f"driver=luks,key-secret=key,file.driver=qcow2,file.file.driver=file,file.file.filename={path}"
        secret = ["--object", f"secret,id=key,file={memory_file.path_of(key)}", "--image-opts", source]
        argv = ["qemu-io", *words, *secret] if tool == "io" else ["qemu-img", "convert", "-O", "raw", *secret, *words]
        subprocess.run(argv, check=True, capture_output=True, pass_fds=[key])


def plain(machine: Machine, volume: str, passphrase: str) -> bytes:
    opened(machine, volume, passphrase, "img", str(machine.state / "plain"))
    return (machine.state / "plain").read_bytes()


def test_a_volume_is_written_over_once(machine: Machine) -> None:
    volume = machine.volume()
    machine.write(volume, MIB, b"old" * 1000)
    before, stored = machine.content(volume), machine.back_up(volume)
    machine.write(volume, MIB, b"new" * 1000)
    machine.write(volume, 0, b"more" * 1000)
    machine.restore(stored, volume, new=False)
    assert machine.content(volume) == before
    machine.write(volume, 0, b"later" * 1000)
    now = machine.content(volume)
    machine.restore(stored, volume, new=False)  # the same order, late
    assert machine.content(volume) == now
    assert machine.ask("volume.report")["restores"] == []


def test_nothing_comes_of_an_operation_that_was_given_up(machine: Machine) -> None:
    volume = machine.volume()
    stored = machine.back_up(volume)
    machine.write(volume, 0, b"kept" * 1000)
    now = machine.content(volume)
    for _ in range(2):
        machine.ask("backup.drop_restore", id=volume, operation="7")
    machine.restore(stored, volume, new=False, operation="7")
    assert machine.content(volume) == now


def test_what_is_damaged_is_not_restored(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, made = machine.volume(), new_uuid()
    machine.write(volume, 0, os.urandom(4096))
    stored = machine.back_up(volume)
    machine.write(volume, 0, b"kept" * 1000)
    now = machine.content(volume)
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "_unpack", lambda content, _packed: content[::-1])
        with pytest.raises(Conflict) as refused:
            machine.restore(stored, made, new=True)
        with pytest.raises(Conflict):
            machine.restore(stored, volume, new=False)
    assert refused.value.code == "BackupDamaged"
    assert machine.content(volume) == now
    assert machine.ask("volume.report")["volumes"] == [volume]
    for each in (made, volume):
        machine.ask("backup.drop_restore", id=each, operation="1")
    assert machine.ask("volume.report")["restores"] == []


def test_a_removed_backup_is_gone(machine: Machine) -> None:
    volume = machine.volume()
    first = machine.back_up(volume)
    later = machine.back_up(volume, first)
    assert machine.ask("backup.look", **later)["size"] == SIZE
    for _ in range(2):
        machine.ask("backup.delete", **later)
    for verb, words in (
        ("backup.look", later),
        ("backup.restore", {"id": new_uuid(), "size": SIZE, "stored": later, "operation": "1", "new": True}),
        ("backup.write", {"stored": later, "snapshot_id": new_uuid(), "volume_id": volume, "parent": later}),
    ):
        with pytest.raises(NotFound):
            machine.ask(verb, **words)
    with pytest.raises(Invalid):
        machine.ask("backup.look", container="c", name="../c")
    assert machine.ask("backup.look", **first)["size"] == SIZE


def test_long_work_goes_by_parts_over_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each order does one part; between any two of them the agent is another one."""
    monkeypatch.setattr(chunks, "PART", MIB)
    monkeypatch.setattr(backups, "SLICE", 0.0)
    state, said = tmp_path / "host", VolumeBackups(folder=tmp_path / "store")
    machine = Machine(state, "file", said)
    volume, made, name = machine.volume(), new_uuid(), new_uuid()
    for part in (0, 1, 3):
        machine.write(volume, part * MIB, os.urandom(100_000))
    content = machine.content(volume)
    machine.ask("volume.snapshot", id=name, volume_id=volume)
    machine.close()
    stored = {"container": "c", "name": name}

    def parts_of(verb: str, words: dict[str, Any]) -> list[int]:
        parts = [0]
        while True:
            machine = Machine(state, "file", said)
            answer = machine.ask(verb, **words, part=parts[-1])
            machine.close()
            parts.append(answer["part"])
            if answer["done"]:
                return parts

    words = {"stored": stored, "snapshot_id": name, "volume_id": volume, "drop": True}
    assert parts_of("backup.write", words) == [0, 1, 2, 3, 4, 4]
    again = {"id": made, "size": SIZE, "stored": stored, "operation": "1", "new": True}
    assert parts_of("backup.restore", again) == [0, 1, 2, 3, 4]
    machine = Machine(state, "file", said)
    assert machine.content(made) == content
    machine.close()
