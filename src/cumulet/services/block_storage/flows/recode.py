# SPDX-License-Identifier: Apache-2.0
"""Giving a volume a type that is encrypted otherwise, with its content in another container, or in none.

Arguments: `type_id`, `multiattach` and `key_id`, the key that the volume is to have, or None.
"""

from __future__ import annotations

from contextlib import suppress

from cumulet.kernel.errors import Unsupported
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.flows import migrate
from cumulet.services.block_storage.logic import closed_moves, contents, progress, recoding, sharing
from cumulet.services.block_storage.types import GIB

VERB = "volume.recode"


def choose(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    return migrate.bound_for(run, volume, recoding.target(run.cloud, volume, run.args))


def copy(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    migrate.fetch(run, volume, VERB, recoding.words(run.cloud, volume, run.args))
    place = migrate.place(run)
    return lambda tx: recoding.arrived(run.cloud, tx, run, place)


def take_back(run: Run) -> None:
    """The disk is what the row says; a host that has made it anew, and could not tell, makes it what it was."""
    volume = progress.find_volume(run.cloud.db, run.subject)
    if not recoding.stays(run):
        migrate.drop(run)
    elif volume is not None and volume.volume_type_id != run.args["type_id"]:
        body = {"id": volume.id, "backend": volume.backend, "source": volume.backend, "size": volume.size * GIB}
        words = recoding.words(run.cloud, volume, run.args, back=True)
        operation = f"{contents.operation(run)}:back"
        body |= {**words, "operation": operation}
        with suppress(Unsupported):  # a host of the release before has not touched it
            sharing.call(run.cloud, volume.host, volume.backend, VERB, body, timeout=closed_moves.COPY_TIME)


def failed(run: Run) -> Commit:
    return lambda tx: recoding.failed(run.cloud, tx, run)


FLOW = Flow(recoding.FLOW, (Step("choose", choose), Step("copy", copy, take_back)), failed=failed)
