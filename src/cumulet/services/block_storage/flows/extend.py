# SPDX-License-Identifier: Apache-2.0
"""Making a volume larger, in a running server too. Argument: `size` in GiB."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import claims, limits, progress, sharing
from cumulet.services.block_storage.logic.scheduler import asking, choice
from cumulet.services.block_storage.types import GIB, Attachment, Volume, is_shared
from cumulet.services.compute.contract import ServersContract


def fit(run: Run) -> Commit:
    """Ask whether the volume's back end takes so much more."""
    volume = progress.volume(run.cloud.db, run.subject)
    size, attached = int(run.args["size"]), bool(claims.of_volume(run.cloud.db, volume.id))
    # One that has the size already was made larger before a crash.
    if size > volume.size and not choice.may_grow(run.cloud, asking.for_growth(run.cloud, volume, size, attached)):
        run.state["refused"] = True
        raise Conflict(choice.NOWHERE, code="NoValidBackend")
    return lambda _tx: None


def grow(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    size = int(run.args["size"])
    holders = claims.of_volume(run.cloud.db, volume.id)
    by_storage = sharing.grows_open(run.cloud.db, volume)
    far = [one for one in holders if _is_far(volume, one, by_storage)]
    near = [one for one in holders if one not in far]
    with progress.fenced():
        if not any(_grow_in_server(run, one, size * GIB) for one in near):
            generation = progress.opener(run.cloud.db, volume.id)
            body = {"id": volume.id, "size": size * GIB, "attached": bool(holders), "generation": generation}
            body["backend"] = volume.backend
            sharing.call(run.cloud, volume.host, volume.backend, "volume.extend", body, opened=[volume.id])
        for one in far:
            # The disk is larger already; a running server has to be told.
            _grow_in_server(run, one, size * GIB)
    _limit(run, volume, size, holders)
    return lambda tx: progress.extended(run.cloud, tx, volume.id, size, run.request_id)


def _is_far(volume: Volume, claim: Attachment, by_storage: bool) -> bool:
    """Whether somebody else makes the disk larger than the hypervisor of the server that has it."""
    if volume.multiattach or by_storage:
        return True
    return claim.host not in (None, volume.host) and not is_shared(volume.host)


def _grow_in_server(run: Run, claim: Attachment, size: int) -> bool:
    """Let compute make the disk larger where a running server has it open."""
    if claim.server_id is None or not run.cloud.contracts.offers(ServersContract):
        return False
    servers = run.cloud.contracts.use(ServersContract)
    return servers.resize_disk(claim.server_id, claim.volume_id, size, run.request_id, generation=claim.generation)


def _limit(run: Run, volume: Volume, size: int, holders: list[Attachment]) -> None:
    """Limits that grow with the volume are those of its new size where servers have it."""
    new = limits.grown(run.cloud.db, volume, size)
    if new is None or not run.cloud.contracts.offers(ServersContract):
        return
    servers = run.cloud.contracts.use(ServersContract)
    for one in holders:
        if one.server_id is not None:
            servers.limit_disk(one.server_id, volume.id, new, generation=one.generation)


def failed(run: Run) -> Commit:
    if run.state.get("refused"):
        return lambda tx: progress.not_grown(tx, run.subject, run.request_id)
    return lambda tx: progress.not_extended(tx, run.subject, run.request_id)


FLOW = Flow("block_storage.extend", (Step("fit", fit), Step("grow", grow)), failed=failed)
