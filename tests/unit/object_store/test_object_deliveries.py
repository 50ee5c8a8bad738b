# SPDX-License-Identifier: Apache-2.0
"""Rings and the secret that are brought to a host: what it takes in, and what it refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel import lock
from cumulet.kernel.errors import Conflict, Invalid, NotReady
from cumulet.services.object_store.logic import home as homes
from cumulet.services.object_store.logic.deliveries import LOOK, PUT, Deliveries, Parcel
from cumulet.services.object_store.logic.home import Secret
from cumulet.services.object_store.logic.standing import Standing
from cumulet.services.object_store.ring import builders, files
from cumulet.services.object_store.ring.builder import Builder
from cumulet.services.object_store.ring.devices import Device
from cumulet.settings.object_store import ObjectDevice, ObjectStore, StoragePolicy

SECRET = Secret(prefix="a" * 32, suffix="b" * 32)
OWN, OTHER = "127.0.0.2", "127.0.0.3"


def ring(folder: Path, version: int = 1, *, address: str = OWN, power: int = 4) -> bytes:
    """The content of a ring with a device here and one elsewhere."""
    builder = Builder(power, 2, 0)
    for number, ip in enumerate((address, OTHER)):
        builder.add(Device(id=number, zone=number, ip=ip, port=6200, device="d", weight=100.0))
    for _ in range(version):
        builder.rebalance(0.0, seed=0)
    path = folder / "made.ring.gz"
    files.write(path, builders.finished(builder))
    return path.read_bytes()


@pytest.fixture
def settings(tmp_path: Path) -> ObjectStore:
    (tmp_path / "d").mkdir()
    devices = (ObjectDevice(name="d", folder=tmp_path / "d"),)
    return ObjectStore(address=OWN, devices=devices, durable=False, reserve=0)


@pytest.fixture
def deliveries(tmp_path: Path, settings: ObjectStore) -> Deliveries:
    (tmp_path / "objects").mkdir()
    return Deliveries(tmp_path / "objects", settings)


def parcel(content: bytes, name: str = "object", **more: Any) -> Parcel:
    return Parcel(**{"name": name, "content": content, "print": SECRET.print, "secret": SECRET, **more})


def test_a_host_waits_for_its_secret_and_all_of_its_rings(
    deliveries: Deliveries, settings: ObjectStore, tmp_path: Path
) -> None:
    folder = tmp_path / "objects"
    for name in ("account", "container", "object"):
        with pytest.raises(NotReady, match=f"ring {name}"):
            homes.prepare(folder, settings, joined=True)
        assert deliveries.put(parcel(ring(tmp_path), name))
        assert not deliveries.put(parcel(ring(tmp_path), name))
    assert (folder / "secret.json").stat().st_mode & 0o777 == 0o600
    assert homes.prepare(folder, settings, joined=True).secret == SECRET
    assert not list((folder / "rings").glob("*.builder"))

    async def story() -> None:
        at_work = await Standing.open(folder, settings, joined=True)
        assert list(at_work.engine.places.devices) == [(OWN, 6200, "d")]
        await at_work.close()

    asyncio.run(story())


def test_what_it_tells_and_takes_by_the_verbs(deliveries: Deliveries, tmp_path: Path) -> None:
    async def story() -> None:
        look, put = deliveries.verbs[LOOK], deliveries.verbs[PUT]
        assert await look({}) == {"secret": "", "policies": [0], "rings": {}}
        body = {"name": "object", "content": ring(tmp_path), "print": SECRET.print}
        secret = {"prefix": SECRET.prefix, "suffix": SECRET.suffix}
        assert await put({**body, "secret": secret, "later": 1}) == {"new": True}
        assert (await look({}))["secret"] == SECRET.print
        assert list((await look({}))["rings"]) == ["object"]
        for broken in ({}, {**body, "content": "text"}, {**body, "secret": {"prefix": 3}}, 7):
            with pytest.raises(Invalid):
                await put(broken)

    asyncio.run(story())


def test_what_it_refuses(deliveries: Deliveries, tmp_path: Path) -> None:
    content = ring(tmp_path, 3)
    with pytest.raises(Conflict, match="none was brought"):
        deliveries.put(parcel(content, secret=None))
    with pytest.raises(Conflict, match="none was brought"):
        deliveries.put(parcel(content, print="of another one"))
    deliveries.put(parcel(content))
    stranger = Secret(prefix="c", suffix="d")
    for secret in (stranger, None):
        with pytest.raises(Conflict, match="another cluster"):
            deliveries.put(parcel(ring(tmp_path, 4), print=stranger.print, secret=secret))
    with pytest.raises(Conflict, match="is version"):
        deliveries.put(parcel(ring(tmp_path, 2)))
    with pytest.raises(Conflict, match="another ring"):
        deliveries.put(parcel(ring(tmp_path, 4, power=5)))
    with pytest.raises(Conflict, match="set-address"):
        deliveries.put(parcel(ring(tmp_path, 4, address="127.0.0.1")))
    for name in ("../object", "object-0", "objects", "", "object-1.ring.gz"):
        with pytest.raises(Invalid, match="no name of a ring"):
            deliveries.put(parcel(content, name))
    for rubbish in (b"", b"no ring", content[:-20]):
        with pytest.raises(Invalid):
            deliveries.put(parcel(rubbish))
    assert (tmp_path / "objects" / "rings" / "object.ring.gz").read_bytes() == content
    with lock.hold(tmp_path / "objects" / "rings" / ".object.ring.gz.lock"), pytest.raises(NotReady):
        deliveries.put(parcel(ring(tmp_path, 4)))
    assert homes.read_secret(tmp_path / "objects") == SECRET


def test_a_ring_of_a_machine_that_was_alone_goes_on_at_its_address(tmp_path: Path) -> None:
    async def story() -> None:
        alone = await Standing.open(tmp_path / "objects", ObjectStore(part_power=4, reserve=0, durable=False))
        await alone.close()
        many = ObjectStore(part_power=4, reserve=0, durable=False, address=OWN, port=6201)
        grown = await Standing.open(tmp_path / "objects", many)
        assert list(grown.engine.places.devices) == [(OWN, 6201, "device")]
        rings = grown.engine.places.rings
        assert {(each.ip, each.port) for each in rings.account.devices} == {(OWN, 6201)}
        await grown.close()

    asyncio.run(story())


def test_a_policy_with_more_fragments_than_devices_here_waits_for_its_ring(tmp_path: Path) -> None:
    coded = StoragePolicy(
        number=1, name="coded", type="erasure_coding", ec_type="liberasurecode_rs_vand",
        ec_num_data_fragments=2, ec_num_parity_fragments=1,
    )  # fmt: skip
    with pytest.raises(NotReady, match="ring object-1"):
        homes.prepare(tmp_path, ObjectStore(part_power=4, address=OWN, policies=(coded,)))
