# SPDX-License-Identifier: Apache-2.0
"""Making a volume: choose its back end, have the bytes made there.

Arguments: `host` and `backend` (where the source or the caller wants it, or ""), `zones` that it may be in, `hints` to
the scheduler, `spec` (the source, as in `VolumeSpec`), `fresh` (the content is to be put into a container, whose key is
asked for when it is needed, and written down nowhere). What one back end cannot make, another one is asked for.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.link.outcome import RemoteFailure
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import group_progress, keys, messages, progress, sharing
from cumulet.services.block_storage.logic.scheduler import asking, choice
from cumulet.services.block_storage.types import GIB, Volume, VolumeSpec

LOG = logging.getLogger(__name__)

COPY_TIME = 3600.0  # seconds that the making of the content may take


def place(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    if volume.host:
        return lambda _tx: None
    asked = asking.for_volume(run.cloud, volume, _wanted(run, volume), run.state.get("tried", ()))
    places = choice.ranked(run.cloud, asked)
    return lambda tx: progress.placed(tx, volume.id, choice.take(run.cloud, tx, asked, places))


def _wanted(run: Run, volume: Volume) -> dict[str, Any]:
    """The arguments; a volume of a group is where the group is."""
    if volume.group_id is None:
        return dict(run.args)
    host, backend = group_progress.place(run.cloud.db, volume.group_id)
    return {**run.args, "host": host, "backend": backend}


def make(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    source = run.args["spec"].get("source_volume_id")
    generation = 0 if source is None else progress.opener(run.cloud.db, source)
    spec = VolumeSpec(
        id=volume.id,
        size=volume.size * GIB,
        source_generation=generation,
        backend=volume.backend,
        **run.args["spec"],
    )
    body = msgspec.to_builtins(spec)
    if run.args.get("fresh"):
        body["container"] = keys.container(run.cloud, volume)
    try:
        with progress.fenced():
            place, opened = (volume.host, volume.backend), [source] if source is not None else []
            sharing.call(run.cloud, *place, "volume.create", body, opened=opened, timeout=COPY_TIME)
    except (CumuletError, RemoteFailure) as error:
        tried = [*run.state.get("tried", ()), volume.pool]
        if not choice.may_help(run.cloud, error, asking.for_volume(run.cloud, volume, _wanted(run, volume), tried)):
            raise
        LOG.warning("volume %s cannot be made at %s, another back end is asked: %s", volume.id, volume.pool, error)
        unmake(run)
        run.state["tried"] = tried
        run.go_on_at = "place"
        return lambda tx: progress.displaced(tx, volume.id)
    return lambda tx: progress.made(run.cloud, tx, volume.id, run.request_id)


def unmake(run: Run) -> None:
    volume = progress.find_volume(run.cloud.db, run.subject)
    if volume is not None and volume.host:
        body = {"id": volume.id, "backend": volume.backend}
        sharing.call(run.cloud, volume.host, volume.backend, "volume.delete", body)


def failed(run: Run) -> Commit:
    volume = progress.find_volume(run.cloud.db, run.subject)
    placed = volume is not None and volume.host
    action, detail = (
        (messages.CREATE, messages.DRIVER_FAILED_CREATE) if placed else (messages.SCHEDULE, messages.NO_BACKEND)
    )
    return lambda tx: progress.not_made(tx, run.subject, run.request_id, action, detail)


FLOW = Flow("block_storage.create", (Step("place", place), Step("make", make, unmake)), failed=failed)
