# SPDX-License-Identifier: Apache-2.0
"""What compute relies on: claims made and ended in its own commits, one claim a volume."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from cumulet.kernel import ids
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound, NotReady, OverQuota
from cumulet.services.block_storage.contract import Attachment, BootVolume, VolumeInfo, VolumesContract
from support.cloud import RunningCloud


@pytest.fixture
def ctx() -> Context:
    return Context(project_id=ids.new_hex(), user_id=ids.new_hex(), roles=frozenset({"member"}))


@pytest.fixture
def contract(cloud: RunningCloud) -> VolumesContract:
    return cloud.control.cloud.contracts.use(VolumesContract)


@pytest.fixture
def write(cloud: RunningCloud) -> Callable[[Callable[[Tx], Any]], Any]:
    return cloud.control.db.write


@pytest.fixture
def volume(cloud: RunningCloud, contract: VolumesContract, ctx: Context, write: Any) -> VolumeInfo:
    made = write(lambda tx: contract.create_for_boot(tx, ctx, BootVolume(size=1)))
    return wait(lambda: contract.ready(cloud.control.db, made.id))


def wait(ask: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 20
    while True:
        try:
            return ask()
        except NotReady:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def claim(contract: VolumesContract, write: Any, ctx: Context, volume: VolumeInfo, server: str) -> Attachment:
    return write(lambda tx: contract.reserve(tx, ctx, volume.id, server))


def test_a_volume_for_boot_is_placed_and_available(cloud: RunningCloud, contract: VolumesContract, volume: Any) -> None:
    assert volume.status == "available"
    assert contract.place(cloud.control.db, volume.id) == "host-1"


def test_a_claim_from_reservation_to_release(
    cloud: RunningCloud, contract: VolumesContract, ctx: Context, volume: VolumeInfo, write: Any
) -> None:
    db, server = cloud.control.db, ids.new_uuid()
    assert contract.check(db, ctx, volume.id).id == volume.id
    first = claim(contract, write, ctx, volume, server)
    assert claim(contract, write, ctx, volume, server) == first
    assert (first.status, first.generation) == ("reserved", 1)
    for _ in range(2):
        attached = write(lambda tx: contract.attach(tx, first.id, "host-1", "/dev/vdb"))
        assert (attached.status, attached.device) == ("attached", "/dev/vdb")
    assert contract.info(db, [volume.id])[volume.id].status == "in-use"
    write(lambda tx: contract.begin_detach(tx, ctx, first.id))
    write(lambda tx: contract.roll_detach(tx, first.id))
    assert contract.info(db, [volume.id])[volume.id].status == "in-use"
    assert contract.attachments_of(db, [server]) == {server: [attached]}
    for _ in range(2):
        write(lambda tx: contract.detach(tx, first.id))
    assert contract.info(db, [volume.id])[volume.id].status == "available"
    assert claim(contract, write, ctx, volume, server).generation == 2
    assert write(lambda tx: contract.release(tx, server)) == [volume.id]
    assert write(lambda tx: contract.release(tx, server)) == []


def test_a_volume_has_one_claim(
    cloud: RunningCloud, contract: VolumesContract, ctx: Context, volume: VolumeInfo, write: Any
) -> None:
    claim(contract, write, ctx, volume, ids.new_uuid())
    with pytest.raises(Invalid):
        claim(contract, write, ctx, volume, ids.new_uuid())
    with pytest.raises(Invalid):
        contract.check(cloud.control.db, ctx, volume.id)


def test_another_projects_volume_is_not_there(
    cloud: RunningCloud, contract: VolumesContract, volume: VolumeInfo, write: Any
) -> None:
    stranger = Context(project_id=ids.new_hex(), user_id=ids.new_hex(), roles=frozenset({"member"}))
    with pytest.raises(NotFound):
        contract.check(cloud.control.db, stranger, volume.id)
    with pytest.raises(NotFound):
        claim(contract, write, stranger, volume, ids.new_uuid())


def test_what_is_undone_leaves_nothing(
    cloud: RunningCloud, contract: VolumesContract, ctx: Context, volume: VolumeInfo, write: Any
) -> None:
    server = ids.new_uuid()

    def fail(tx: Tx) -> None:
        contract.reserve(tx, ctx, volume.id, server)
        contract.create_for_boot(tx, ctx, BootVolume(size=1))
        raise Conflict("no server after all")

    with pytest.raises(Conflict):
        write(fail)
    assert contract.attachments_of(cloud.control.db, [server]) == {}
    assert contract.info(cloud.control.db, [volume.id])[volume.id].status == "available"


def test_quota_counts_in_the_same_commit(contract: VolumesContract, ctx: Context, write: Any) -> None:
    def make_eleven(tx: Tx) -> None:
        for _ in range(11):
            contract.create_for_boot(tx, ctx, BootVolume(size=1))

    with pytest.raises(OverQuota):
        write(make_eleven)


def test_a_volume_goes_with_its_server(
    cloud: RunningCloud, contract: VolumesContract, ctx: Context, volume: VolumeInfo, write: Any
) -> None:
    server = ids.new_uuid()
    first = claim(contract, write, ctx, volume, server)
    write(lambda tx: contract.attach(tx, first.id, "host-1", "/dev/vda"))

    def end(tx: Tx) -> None:
        contract.release(tx, server)
        contract.delete_on_termination(tx, volume.id)
        contract.delete_on_termination(tx, volume.id)

    write(end)
    deadline = time.monotonic() + 20
    while contract.info(cloud.control.db, [volume.id]):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_snapshot_for_an_image(
    cloud: RunningCloud, contract: VolumesContract, ctx: Context, volume: VolumeInfo, write: Any
) -> None:
    snapshot = write(lambda tx: contract.snapshot_for_image(tx, ctx, volume.id, "s"))
    wait(lambda: contract.snapshot_ready(cloud.control.db, snapshot))
    made = write(lambda tx: contract.create_for_boot(tx, ctx, BootVolume(snapshot_id=snapshot)))
    assert made.size == 1
    assert wait(lambda: contract.ready(cloud.control.db, made.id)).host == "host-1"


def test_a_volume_that_cannot_be_made_says_so(
    cloud: RunningCloud, contract: VolumesContract, ctx: Context, write: Any
) -> None:
    made = write(lambda tx: contract.create_for_boot(tx, ctx, BootVolume(size=1, host="nowhere")))
    with pytest.raises(CumuletError):
        wait(lambda: contract.ready(cloud.control.db, made.id))
    with pytest.raises(Conflict):
        contract.ready(cloud.control.db, made.id)
