# SPDX-License-Identifier: Apache-2.0
"""Objects in a backup that is taken while they are written, replaced and deleted: a store of one moment."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from cumulet import cli
from cumulet.services.object_store.drivers.local import snapshot
from cumulet.services.object_store.drivers.local.snapshot import Snapshot
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

SIZES = (0, 300, 70_000, 200_000)  # in the catalogue, and in files


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings from the environment of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("CUMULET_")]:
        monkeypatch.delenv(name)


class World:
    """A cloud of identity and objects, and one account of it; `devices` are disks in its state directory."""

    def __init__(self, state: Path, devices: int = 0, token: str = "", account: str = "") -> None:
        for number in range(devices):
            (state / "disks" / str(number)).mkdir(parents=True, exist_ok=True)
        if devices:
            lines = ("[[object_store.devices]]", 'name = "d{0}"', f'folder = "{state}/disks/{{0}}"', "")
            text = "\n".join("\n".join(lines).format(number) for number in range(devices))
            (state / "cumulet.toml").write_text(text)
        self.cloud = RunningCloud(state, ("identity", "object_store"))
        if not token:
            people = environment(self.cloud)
            token, account = people["MEMBER_TOKEN"], f"AUTH_{people['PROJECT_ID']}"
        self.token, self.account = token, account
        self.http = httpx.Client(
            base_url=f"{self.cloud.objects_url()}/v1/{account}/", headers={"x-auth-token": token}, timeout=60
        )

    def again(self, state: Path, devices: int = 0) -> World:
        """The same account in a cloud that was restored."""
        return World(state, devices, self.token, self.account)

    def put(self, name: str, content: bytes) -> None:
        answer = self.http.put(name, content=content)
        assert answer.status_code == 201, answer.text

    def close(self) -> None:
        self.http.close()
        self.cloud.close()


def flags(state: Path) -> list[str]:
    return ["--state", str(state), "--set", "host=host-1"]


@contextmanager
def busy(world: World) -> Iterator[list[int]]:
    """Somebody replaces and deletes objects as fast as he can; what he has done so far."""
    ended, done = threading.Event(), [0]

    def work() -> None:
        with httpx.Client(base_url=world.http.base_url, headers=world.http.headers, timeout=60) as client:
            while not ended.is_set():
                number = done[0]
                name, size = f"box/busy-{number % 7}", SIZES[number % 4]
                if number % 5 == 4:
                    client.delete(name)
                else:
                    client.put(name, content=hashlib.sha256(str(number).encode()).digest() * (size // 32))
                done[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(lambda: done[0] > 10)
        yield done
    finally:
        ended.set()
        thread.join()


def unlike(world: World) -> list[str]:
    """The objects that are not what the list says of them."""
    found = []
    for row in world.http.get("box?format=json", headers={"x-newest": "true"}).json():
        answer = world.http.get(f"box/{row['name']}")
        if answer.status_code != 200 or hashlib.md5(answer.content).hexdigest() != row["hash"]:
            found.append(row["name"])
    return found


@pytest.mark.parametrize("devices", [0, 3], ids=["its own", "three"])
def test_what_is_there_at_one_moment_comes_back(tmp_path: Path, devices: int) -> None:
    world = World(tmp_path / "s", devices)
    kept = {f"box/kept-{size}": os.urandom(size) for size in SIZES}
    try:
        world.http.put("box")
        for name, content in kept.items():
            world.put(name, content)
        with busy(world) as done:
            before = done[0]
            assert cli.main([*flags(tmp_path / "s"), "backup", str(tmp_path / "live")]) == 0
            assert done[0] > before
    finally:
        world.close()
    # The folders of disks come with what was on them.
    assert cli.main([*flags(tmp_path / "s"), "restore", str(tmp_path / "live")]) == 1
    (tmp_path / "s").rename(tmp_path / "before")
    assert cli.main([*flags(tmp_path / "s"), "restore", str(tmp_path / "live")]) == 0
    again = world.again(tmp_path / "s", devices)
    try:
        # A row that was on its way to its container at that moment is brought, as after a crash.
        until(lambda: not unlike(again), 30)
        assert {f"box/{row['name']}" for row in again.http.get("box?format=json").json()} >= kept.keys()
        for name, content in kept.items():
            assert again.http.get(name).content == content
        again.put("box/later", b"x" * 100_000)
        assert again.http.get("box/later").content == b"x" * 100_000
    finally:
        again.close()


def test_a_file_that_goes_meanwhile_has_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment at which a file was replaced before it was held is no good; one that is lost for good is."""
    world = World(tmp_path / "s")
    device = tmp_path / "s" / "objects" / "device"
    try:
        world.http.put("box")
        for name in ("a", "b", "lost"):
            world.put(f"box/{name}", os.urandom(100_000))
        pin_file, replaced = snapshot.pin_file, []

        def late(path: Path, target: Path) -> bool:
            if path.name != "device.json" and path.exists() and not replaced:
                replaced.append(path)
                for name in ("a", "b"):
                    world.put(f"box/{name}", name.encode() * 100_000)
                until(lambda: not path.exists())
            return pin_file(path, target)

        lost = world.http.head("box/lost").headers["etag"]
        for path in files(device):
            if hashlib.md5(path.read_bytes()).hexdigest() == lost:
                path.unlink()
        monkeypatch.setattr(snapshot, "pin_file", late)
        taken = Snapshot({"device": device})
        assert taken.take(tmp_path / "pinned") == ["device"]
        taken.write("device", tmp_path / "pinned", tmp_path / "copy")
        assert replaced
        contents = [path.read_bytes() for path in files(tmp_path / "copy")]
        assert {b"a" * 100_000, b"b" * 100_000} <= set(contents)
        assert not list((tmp_path / "copy").glob("*-wal"))
    finally:
        world.close()


def files(device: Path) -> list[Path]:
    return [path for path in (device / "data").rglob("*") if path.is_file()]


def test_a_store_that_is_never_still(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path / "s")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "PATIENCE", 0.1)
        numbers = iter(range(10**9))
        patch.setattr(Snapshot, "_versions", lambda _self: [next(numbers)])
        assert cli.main([*flags(tmp_path / "s"), "backup", str(tmp_path / "x")]) == 1
    world.close()
    assert "written to all the time" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_device_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path / "s")
    world.close()
    (tmp_path / "s" / "objects" / "device" / "catalogue.db").write_bytes(b"no catalogue" * 1000)
    assert cli.main([*flags(tmp_path / "s"), "backup", str(tmp_path / "x")]) == 1
    assert "cannot be read: file is not a database" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
