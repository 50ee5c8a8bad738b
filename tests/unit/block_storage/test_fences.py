# SPDX-License-Identifier: Apache-2.0
"""Orders that come too late for a host are given again, for the attachment that there is then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cumulet.kernel.context import Context
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.ids import new_hex, new_uuid
from cumulet.services.block_storage.contract import BootVolume, VolumesContract
from cumulet.services.block_storage.logic import progress
from support.cloud import RunningCloud
from support.waiting import until


def test_an_order_for_an_older_attachment_comes_again() -> None:
    with pytest.raises(NotReady, match="attached anew"), progress.fenced():
        raise Conflict("Volume v is attached anew meanwhile.", code=progress.STALE)
    with pytest.raises(Conflict, match="other"), progress.fenced():
        raise Conflict("other")


@pytest.fixture
def volume(cloud: RunningCloud) -> Iterator[tuple[Context, str]]:
    contract, db = cloud.control.cloud.contracts.use(VolumesContract), cloud.control.db
    ctx = Context(project_id=new_hex(), user_id=new_hex(), roles=frozenset({"member"}))
    made = db.write(lambda tx: contract.create_for_boot(tx, ctx, BootVolume(size=1))).id
    until(lambda: contract.info(db, [made])[made].status == "available")
    yield ctx, made
    db.write(lambda tx: contract.delete_on_termination(tx, made))


def test_the_generation_that_is_told_is_that_of_who_has_the_disk(
    cloud: RunningCloud, volume: tuple[Context, str]
) -> None:
    contract, db, (ctx, volume_id) = cloud.control.cloud.contracts.use(VolumesContract), cloud.control.db, volume
    assert progress.opener(db, volume_id) == 0
    for generation in (1, 2):
        server = new_uuid()
        claim = db.write(lambda tx, server=server: contract.reserve(tx, ctx, volume_id, server))
        db.write(lambda tx, claim=claim: contract.attach(tx, claim.id, "host-1", "/dev/vdb"))
        assert progress.opener(db, volume_id) == generation == claim.generation
        assert [each.id for each in contract.attachments_on(db, volume_id)] == [claim.id]
        db.write(lambda tx, claim=claim: contract.detach(tx, claim.id))
