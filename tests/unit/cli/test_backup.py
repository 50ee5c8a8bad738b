# SPDX-License-Identifier: Apache-2.0
"""Backup and restore of a whole cloud on fake servers with real files: what was there is there again, or nothing is."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulet import cli
from cumulet.kernel.backup import archive
from support import cloud as support_cloud
from support.cloud import RunningCloud
from support.engines import ENGINES, POSTGRES
from support.sample import Sample

pytestmark = [
    pytest.mark.skipif(shutil.which("qemu-img") is None, reason="volumes are qcow2 files"),
    pytest.mark.timeout(400),  # a cloud is filled first
]

PATIENCE = 120.0
PICTURE = os.urandom(3_000_000)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """No settings from the environment of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CUMULET_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def filled(quiet: None) -> Iterator[Sample]:
    """The cloud's state is stopped, and its backup taken while it ran lies beside it as `live`."""
    folder = Path(tempfile.mkdtemp(prefix="cml-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(support_cloud.FAKES, "block_storage.driver", "file")
        cloud = RunningCloud(folder / "state")
        try:
            found = Sample(cloud, PICTURE)
            assert backup(found.state, folder / "live") == 0
        finally:
            cloud.close()
        yield found
    shutil.rmtree(folder)


def flags(state: Path) -> list[str]:
    return [*fakes(state), "--set", "block_storage.driver=file"]


def fakes(state: Path) -> list[str]:
    drivers = [f"{service}.driver=fake" for service in ("compute", "network", "block_storage")]
    return ["--state", str(state), *(word for pair in ["host=host-1", *drivers] for word in ("--set", pair))]


def backup(state: Path, path: Path) -> int:
    return cli.main([*flags(state), "backup", str(path)])


def restore(state: Path, path: Path) -> int:
    return cli.main([*flags(state), "restore", str(path)])


def content(path: Path) -> str:
    """The checksum of what a guest would read from a volume."""
    raw = path.with_suffix(".raw")
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
    try:
        return hashlib.sha256(raw.read_bytes()).hexdigest()
    finally:
        raw.unlink()


@pytest.mark.parametrize("when", ["live", "down"])
def test_all_comes_back(filled: Sample, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into an empty directory: the token of before, image bytes, volumes, the snapshot, the server and its claim."""
    folder = filled.state.parent
    if when == "down":
        assert backup(filled.state, folder / "down") == 0
    state = folder / f"again-{when}"
    assert restore(state, folder / when) == 0
    volumes = "agent/block_storage/volumes"
    for volume in (filled.volume, filled.attached):
        assert content(state / volumes / f"{volume}.qcow2") == content(filled.state / volumes / f"{volume}.qcow2")
    snapshot = f"agent/block_storage/snapshots/{filled.snapshot}.qcow2"
    assert (state / snapshot).read_bytes() == (filled.state / snapshot).read_bytes()
    monkeypatch.setitem(support_cloud.FAKES, "block_storage.driver", "file")
    cloud = RunningCloud(state)
    try:
        url = f"{cloud.data_url}/image/v2/images/{filled.image}/file"
        assert filled.http.get(url, headers=filled.headers()).content == PICTURE
        server = filled.get(f"{cloud.control_url}/compute/v2.1/servers/{filled.server}")["server"]
        assert server["status"] == "ACTIVE"
        assert [item["id"] for item in server["os-extended-volumes:volumes_attached"]] == [filled.attached]
        body = {"volume": {"size": 1, "snapshot_id": filled.snapshot}}
        answer = filled.http.post(f"{cloud.control_url}/block-storage/v3/volumes", headers=filled.headers(), json=body)
        assert answer.status_code == 202
    finally:
        cloud.close()


def test_all_comes_back_on_postgresql(engine: str, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """The same where the database is a server's: dumped, and loaded into an empty one."""
    if engine != POSTGRES:
        pytest.skip("the other tests are on SQLite")
    urls = [pytestconfig.stash[ENGINES].new_url(engine) for _ in range(2)]
    cloud = RunningCloud(tmp_path / "s", (), urls[0])
    try:
        sample = Sample(cloud, PICTURE)
        words = [*fakes(tmp_path / "s"), "--set", f"database.url={urls[0]}", "backup", str(tmp_path / "x")]
        assert cli.main(words) == 0
    finally:
        cloud.close()
    assert restore(tmp_path / "t", tmp_path / "x") == 1  # the settings name SQLite
    assert not (tmp_path / "t").exists()
    words = [*fakes(tmp_path / "t"), "--set", f"database.url={urls[1]}", "restore", str(tmp_path / "x")]
    assert cli.main(words) == 0
    assert not (tmp_path / "t" / "database.dump").exists()
    cloud = RunningCloud(tmp_path / "t", (), urls[1])
    try:
        server = sample.get(f"{cloud.control_url}/compute/v2.1/servers/{sample.server}")["server"]
        assert server["status"] == "ACTIVE"
        url = f"{cloud.data_url}/image/v2/images/{sample.image}/file"
        assert sample.http.get(url, headers=sample.headers()).content == PICTURE
    finally:
        cloud.close()


def test_a_host_without_a_database_is_backed_up_too(filled: Sample, tmp_path: Path) -> None:
    """What a further host keeps: its agent's folder alone."""
    host = tmp_path / "host"
    shutil.copytree(filled.state / "agent", host / "agent")
    assert backup(host, tmp_path / "x") == 0
    assert restore(tmp_path / "again", tmp_path / "x") == 0
    volumes = "agent/block_storage/volumes"
    names = sorted(path.name for path in (host / volumes).iterdir())
    assert sorted(path.name for path in (tmp_path / "again" / volumes).iterdir()) == names
    record = f"agent/journal/servers/{filled.server}.mp"
    assert (tmp_path / "again" / record).is_file()


def test_the_file_is_its_owner_s_alone_and_whole(filled: Sample) -> None:
    path = filled.state.parent / "live"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert cli.main([*flags(filled.state), "restore", "--check", str(path)]) == 0
    names = archive.read_manifest(path).members
    assert {"cumulet.db", "secrets.toml", f"images/{filled.image}"} <= names.keys()
    assert not [name for name in names if name.endswith((".lock", ".door", ".log", "-wal"))]
    assert not [name for name in names if name.startswith(("backup/", "agent/backup/", "agent/images/"))]
    assert not list(filled.state.glob("agent/backup"))


def test_disks_on_another_file_system_than_the_state_directory(
    filled: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hard links do not reach there, so that nothing may go in between; all else is as ever."""
    link = os.link

    def refuse(source: Path, target: Path) -> None:
        if "backup" in Path(target).parts and "into" not in Path(target).parts:
            raise OSError(errno.EXDEV, "another file system")
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)
    assert backup(filled.state, tmp_path / "x") == 0
    names = archive.read_manifest(tmp_path / "x").members
    assert names.keys() == archive.read_manifest(filled.state.parent / "live").members.keys()
    assert names["secrets.toml"].mode == 0o600


def test_what_lies_outside_is_named(filled: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "master.key"
    key.touch()
    words = [*flags(filled.state), "--set", f"master_key={key}", "backup", str(tmp_path / "x")]
    assert cli.main(words) == 0
    assert str(key) in capsys.readouterr().out


def test_nothing_is_overwritten(filled: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    path = filled.state.parent / "live"
    before = path.stat()
    assert backup(filled.state, path) == 1
    assert "there already" in capsys.readouterr().err
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert restore(filled.state, path) == 1
    assert "not empty" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["cut", "no manifest", "flipped", "nonsense"])
def test_a_damaged_backup_restores_nothing(filled: Sample, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bad"
    shutil.copyfile(filled.state.parent / "live", path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        if damage == "cut":
            file.truncate(size // 2)
        elif damage == "no manifest":
            file.seek(0)
            manifest = file.read().rindex(b"manifest.json")
            file.truncate(manifest)
        elif damage == "flipped":
            file.seek(size // 2)
            byte = file.read(1)[0]
            file.seek(size // 2)
            file.write(bytes([byte ^ 1]))
        else:
            file.truncate(0)
            file.write(b"not a tar at all" * 100)
    assert restore(tmp_path / "state", path) == 1
    assert not (tmp_path / "state").exists()
    assert sorted(tmp_path.iterdir()) == [path]


def start(*words: str, state: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cumulet.cli", *flags(state), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_when(process: subprocess.Popen[bytes], there: Path, size: int) -> bool:
    """SIGKILL as soon as the file or folder `there` holds so many bytes; False where the process ended before."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if bytes_in(there) > size:
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
            return True
    return False


def bytes_in(there: Path) -> int:
    """How much the file or folder holds; 0 where it vanishes while it is looked at."""
    try:
        found = [there] if there.is_file() else there.rglob("*")
        return sum(path.stat().st_size for path in found if path.is_file())
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("size", [0, 1_000_000, 3_500_000])
def test_a_backup_killed_halfway_is_none(filled: Sample, tmp_path: Path, size: int) -> None:
    path = tmp_path / "x"
    assert kill_when(start("backup", str(path), state=filled.state), tmp_path / ".x.partial", size)
    assert not path.exists()
    assert backup(filled.state, path) == 0
    assert sorted(tmp_path.iterdir()) == [path]
    assert cli.main([*flags(filled.state), "restore", "--check", str(path)]) == 0


@pytest.mark.parametrize("size", [0, 1_000_000, 3_500_000])
def test_a_restore_killed_halfway_starts_nothing(filled: Sample, tmp_path: Path, size: int) -> None:
    path, state = filled.state.parent / "live", tmp_path / "state"
    assert kill_when(start("restore", str(path), state=state), tmp_path / ".state.restoring", size)
    assert not state.exists()
    assert restore(state, path) == 0
    assert sorted(tmp_path.iterdir()) == [state]


def test_a_cloud_that_never_was_is_not_backed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert backup(tmp_path / "none", tmp_path / "x") == 1
    assert not (tmp_path / "x").exists()
