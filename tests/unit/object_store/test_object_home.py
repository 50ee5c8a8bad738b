# SPDX-License-Identifier: Apache-2.0
"""What a store on one machine begins with, what of it is never made anew, and disks that go and come."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cumulet.cli import reset
from cumulet.kernel.errors import Invalid
from cumulet.objects import limits_of, options_of, rules_of, temp_auth_of
from cumulet.services.object_store import backup, doctor
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.logic import home as homes
from cumulet.services.object_store.logic.standing import Standing
from cumulet.services.object_store.ring import builders, files
from cumulet.settings import Settings, SettingsError, load
from cumulet.settings.object_store import ObjectDevice, ObjectStore, StoragePolicy

SMALL = {"part_power": 4, "durable": False, "reserve": 0}


def disks(folder: Path, count: int) -> tuple[ObjectDevice, ...]:
    for number in range(count):
        (folder / f"d{number}").mkdir(exist_ok=True)
    return tuple(ObjectDevice(name=f"d{number}", folder=folder / f"d{number}") for number in range(count))


def store(folder: Path, count: int, **more: Any) -> ObjectStore:
    return ObjectStore(devices=disks(folder, count), **{**SMALL, **more})


def ring(folder: Path, name: str) -> files.RingFile:
    return files.read(folder / "rings" / f"{name}.ring.gz")


def test_one_device_without_a_word(tmp_path: Path) -> None:
    made = homes.prepare(tmp_path / "objects", ObjectStore(part_power=4))
    assert [(each.number, each.name, each.default) for each in made.policies] == [(0, "Policy-0", True)]
    for name in ("account", "container", "object"):
        assert len(ring(tmp_path / "objects", name).rows) == 1
    assert (tmp_path / "objects" / "device" / "device.json").exists()


def test_a_second_start_makes_nothing_anew(tmp_path: Path) -> None:
    first = homes.prepare(tmp_path, store(tmp_path, 2))
    before = {path: path.read_bytes() for path in sorted((tmp_path / "rings").iterdir())}
    again = homes.prepare(tmp_path, store(tmp_path, 4, replicas=3))
    assert again.secret == first.secret
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(("count", "more", "replicas"), [(2, {}, 2), (5, {}, 3), (3, {"replicas": 1}, 1)])
def test_replicas(tmp_path: Path, count: int, more: dict[str, int], replicas: int) -> None:
    homes.prepare(tmp_path, store(tmp_path, count, **more))
    assert len(ring(tmp_path, "container").rows) == replicas


def test_a_first_start_that_is_interrupted_anywhere_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    flush, steps = os.fsync, iter(range(1000))
    last = 1000

    def flushed(file: int) -> None:
        if next(steps) == last:
            raise Killed
        flush(file)

    monkeypatch.setattr(os, "fsync", flushed)
    homes.prepare(tmp_path / "whole", store(tmp_path, 1))
    count = next(steps)
    assert count > 8
    for last in range(count):
        folder, steps = tmp_path / f"killed-{last}", iter(range(1000))
        folder.mkdir()
        chosen = store(folder, 1)
        with pytest.raises(Killed):
            homes.prepare(folder / "objects", chosen)
        steps = iter(range(1000, 10_000))
        made = homes.prepare(folder / "objects", chosen)
        assert made == homes.prepare(folder / "objects", chosen)
        assert files.read(made.rings / "object.ring.gz").rows == ring(tmp_path / "whole", "object").rows
        assert doctor.device(folder / "objects", chosen.devices[0]).status == "ok"
        assert not list((folder / "objects").glob(".*"))


def test_policies_have_rings_of_their_own(tmp_path: Path) -> None:
    policies = (
        StoragePolicy(number=0, name="gold", deprecated=True),
        StoragePolicy(number=2, name="fast", aliases=("quick",), default=True, devices=("d1",)),
    )
    made = homes.prepare(tmp_path, store(tmp_path, 3, policies=policies))
    assert [(each.number, each.default, each.deprecated) for each in made.policies] == [
        (0, False, True),
        (2, True, False),
    ]
    assert {each.device for each in ring(tmp_path, "object-2").devices if each} == {"d1"}
    assert len(ring(tmp_path, "object").rows) == 3


def test_a_ring_that_was_lost_is_that_of_its_builder(tmp_path: Path) -> None:
    homes.prepare(tmp_path, store(tmp_path, 3, replicas=2))
    before = ring(tmp_path, "object").rows
    (tmp_path / "rings" / "object.ring.gz").unlink()
    homes.prepare(tmp_path, store(tmp_path, 3, replicas=2))
    assert ring(tmp_path, "object").rows == before
    assert builders.read(tmp_path / "rings" / "object.builder").replicas == 2


def test_without_a_default_there_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no other is the default"):
        homes.prepare(tmp_path, ObjectStore(policies=(StoragePolicy(number=0, name="old", deprecated=True),)))


def test_a_secret_that_is_none_is_not_replaced(tmp_path: Path) -> None:
    homes.prepare(tmp_path, ObjectStore(part_power=4))
    (tmp_path / "secret.json").write_text("{")
    with pytest.raises(Invalid, match="Without it"):
        homes.prepare(tmp_path, ObjectStore(part_power=4))
    assert (tmp_path / "secret.json").read_text() == "{"


BROKEN: dict[str, dict[str, Any]] = {
    "two devices": {"devices": [{"name": "a", "folder": "/a"}, {"name": "a", "folder": "/b"}]},
    "replicas": {"replicas": 2},
    "two numbers": {"policies": [{"number": 1, "name": "a"}, {"number": 1, "name": "b"}]},
    "two names": {"policies": [{"number": 1, "name": "a"}, {"number": 2, "name": "b", "aliases": ["A"]}]},
    "two defaults": {
        "policies": [{"number": 1, "name": "a", "default": True}, {"number": 2, "name": "b", "default": True}]
    },
    "deprecated default": {"policies": [{"number": 1, "name": "a", "default": True, "deprecated": True}]},
    "no such device": {"policies": [{"number": 1, "name": "a", "devices": ["x"]}]},
    "too many": {"policies": [{"number": 1, "name": "a", "replicas": 2}]},
    "bad name": {"policies": [{"number": 1, "name": "a b"}]},
    "no prefix": {"prefixes": []},
    "no address": {"address": "10.0.0"},
    "any address": {"address": "0.0.0.0"},
    "another spelling": {"address": "fd00:0::1"},
    "no workers": {"workers": 0},
}


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN)
def test_settings_that_contradict_themselves(tmp_path: Path, said: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="object_store"):
        load(
            environ={}, overrides={"state": str(tmp_path), **{f"object_store.{key}": one for key, one in said.items()}}
        )


def settings(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "cumulet.toml").write_text(text)
    return load(environ={}, overrides={"state": str(tmp_path)})


def test_what_the_api_is_told(tmp_path: Path) -> None:
    said = settings(
        tmp_path,
        """
        [object_store.api]
        cors_allow_origin = ["https://a.example"]
        [object_store.api.constraints]
        max_file_size = 1000
        [object_store.api.filters.ratelimit]
        account_ratelimit = 5
        [[object_store.prefixes]]
        prefix = "AUTH"
        operator_roles = ["Chief"]
        [[object_store.prefixes]]
        prefix = "SERVICE"
        service_roles = ["service"]
        [object_store.temp_auth]
        users = ["user_a_b = c .admin"]
        """,
    )
    options = options_of(said)
    assert options.cors_allow_origin == ("https://a.example",)
    assert options.of("ratelimit") == {"account_ratelimit": 5}
    assert limits_of(said.object_store).max_file_size == 1000
    rules = rules_of(said.object_store)
    assert rules.prefixes["AUTH_"].operator == ("chief",)
    assert rules.prefixes["SERVICE_"].service == ("service",)
    auth = temp_auth_of(said.object_store, b"secret")
    assert auth.log_in("GET", "/auth/v1.0", {"x-auth-user": "a:b", "x-auth-key": "c"}, "http://h").status == 200
    assert said.objects_url == "http://127.0.0.1:8703"
    unknown = settings(tmp_path, "[object_store.api.constraints]\nmax_files = 1\n")
    with pytest.raises(Invalid, match="there is no max_files"):
        limits_of(unknown.object_store)


def test_a_disk_goes_and_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = store(tmp_path, 2)
    name = Name("a", "c", "o")

    async def read(at_work: Standing) -> bool:
        return await at_work.engine.head(name) is None

    async def story() -> None:
        at_work = await Standing.open(tmp_path / "objects", chosen)
        assert await read(at_work)
        await at_work.close()
        for each in chosen.devices:
            each.folder.rename(each.folder.with_suffix(".away"))
        chosen.devices[0].folder.mkdir()  # the place where it is mounted
        at_work = await Standing.open(tmp_path / "objects", chosen)
        with pytest.raises(Unavailable):
            await read(at_work)
        assert not (chosen.devices[0].folder / "device.json").exists()  # not taken for a new one
        await at_work.look()
        assert caplog.text.count("device d1 is not at hand") == 1
        chosen.devices[0].folder.rmdir()
        for each in chosen.devices:
            each.folder.with_suffix(".away").rename(each.folder)
        await at_work.look()
        assert await read(at_work)
        await at_work.close()

    asyncio.run(story())


def test_a_changed_ring_is_taken_over_and_a_broken_one_is_not(tmp_path: Path) -> None:
    async def story() -> None:
        at_work = await Standing.open(tmp_path, store(tmp_path, 2))
        plan = tmp_path / "rings" / "account.builder"
        before = at_work.engine.places.rings
        builder = builders.read(plan)
        builder.set_replicas(1)
        builder.rebalance(0.0, seed=1)
        files.write(tmp_path / "rings" / "account.ring.gz", builders.finished(builder))
        (tmp_path / "rings" / "container.ring.gz").write_bytes(b"no ring")
        await at_work.look()
        after = at_work.engine.places.rings
        assert after.account.replicas == 1
        assert after.container is before.container
        assert (after.prefix, after.suffix) == (before.prefix, before.suffix)
        (tmp_path / "rings" / "container.ring.gz").unlink()
        await at_work.look()
        assert at_work.engine.places.rings is after
        await at_work.close()

    asyncio.run(story())


def found(settings: Settings) -> dict[str, tuple[str, str]]:
    probes = {each.name: each.check() for each in doctor.probes(settings)}
    return {name: (each.status, each.detail) for name, each in probes.items()}


def test_what_the_doctor_finds(tmp_path: Path) -> None:
    text = "".join(
        f'[[object_store.devices]]\nname = "{each.name}"\nfolder = "{each.folder}"\n' for each in disks(tmp_path, 2)
    )
    said = settings(tmp_path, text)
    assert {each[0] for each in found(said).values()} == {"ok"}
    homes.prepare(said.objects_folder, said.object_store)
    assert {each[0] for each in found(said).values()} == {"ok"}
    shutil.rmtree(tmp_path / "d0")
    assert found(said)["objects: device d0"][0] == "degraded"
    (tmp_path / "d0").mkdir()
    assert found(said)["objects: device d0"][0] == "degraded"
    more = settings(tmp_path, text + f'[[object_store.devices]]\nname = "new"\nfolder = "{tmp_path}/d1"\n')
    assert "no ring has new" in found(more)["objects: rings"][1]
    (said.objects_folder / "rings" / "object.ring.gz").write_bytes(b"no ring")
    assert found(said)["objects: rings"][0] == "missing"
    assert not doctor.probes(settings(tmp_path, "[object_store]\nenabled = false\n"))


def test_a_backup_has_the_secret_and_the_rings(tmp_path: Path) -> None:
    state = tmp_path / "state"
    said = load(environ={}, overrides={"state": str(state), "object_store.part_power": "4"})
    state.mkdir()
    homes.prepare(said.objects_folder, said.object_store)
    keeper = backup.keeper(said)
    assert keeper.folders == ("objects", "objects/device")
    pieces = keeper.pin(tmp_path / "pinned")
    for piece in pieces:
        keeper.copy(piece, tmp_path / "pinned", tmp_path / "into")
    copied = {str(path.relative_to(tmp_path / "into")) for path in (tmp_path / "into").rglob("*") if path.is_file()}
    rings = {
        f"objects/rings/{name}.{kind}" for name in ("account", "container", "object") for kind in ("builder", "ring.gz")
    }
    assert copied == {"objects/secret.json", "objects/device/device.json", *rings}
    elsewhere = load(environ={}, overrides={"state": str(state), "object_store.folder": str(tmp_path / "elsewhere")})
    assert backup.keeper(elsewhere).pin(tmp_path / "none") == []
    shutil.rmtree(state / "objects")
    shutil.copytree(tmp_path / "into" / "objects", state / "objects")
    homes.prepare(said.objects_folder, said.object_store)
    assert (state / "objects" / "device" / "data" / "ff").is_dir()


def test_a_reset_empties_the_disks_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "log").mkdir()
    folder = tmp_path / "disk"
    folder.mkdir()
    said = settings(state, f'[[object_store.devices]]\nname = "d"\nfolder = "{folder}"\n')
    reset._empty(said)
    (folder / "somebody's").touch()
    reset._empty(said)  # no device: it is left alone
    assert (folder / "somebody's").exists()
    homes.prepare(said.objects_folder, said.object_store)
    assert str(folder) in reset._places(said)
    reset._empty(said)
    assert list(folder.iterdir()) == []
    assert [path.name for path in state.iterdir()] == ["cumulet.toml"]
