# SPDX-License-Identifier: Apache-2.0
"""Moving a volume to another back end, of its host or of another one.

The commit that says that the volume is at the target begins to remove the source (`leave`): whatever is killed, the one
that the row names is whole. A volume that a server has is moved by compute's flow, which this one starts.

Arguments: `host` and `backend`, or `type_id`, the type that the volume is to have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import NotReady
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import backends, closed_moves, contents, migrations, progress
from cumulet.services.block_storage.logic.closed_moves import Way
from cumulet.services.block_storage.logic.scheduler import asking
from cumulet.services.block_storage.store import moves
from cumulet.services.block_storage.types import Backend, Volume


def choose(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    return bound_for(run, volume, migrations.target(run.cloud, volume, run.args))


def bound_for(run: Run, volume: Volume, target: Backend) -> Commit:
    """Keep where the volume goes, and where it comes from, and take the room."""
    generation = volume.generation + 1
    run.state.update(host=target.host, backend=target.name, generation=generation)
    run.state.update(source_host=volume.host, source_backend=volume.backend)
    run.state["at"], run.state["source_at"] = migrations.hands(run.cloud.db, volume, target)
    asked = asking.for_move(run.cloud, volume, run.args)
    return lambda tx: migrations.begun(run.cloud, tx, volume.id, asked, target, run.request_id)


def copy(run: Run) -> Commit | None:
    """Nothing is to be done for a volume that a server has, or that has been moved since by compute's flow."""
    volume, move = progress.volume(run.cloud.db, run.subject), moves.find(run.cloud.db, run.subject)
    if has_arrived(run, volume) or (move is not None and move.attached):
        return None
    fetch(run, volume, "volume.receive", {})
    there = place(run)
    return lambda tx: migrations.arrived(run.cloud, tx, run.subject, there, run.args, run.request_id)


def fetch(run: Run, volume: Volume, verb: str, words: Mapping[str, Any]) -> None:
    """Have the target fetch the content."""
    closed_moves.fetch(run.cloud, volume, _way(run), verb, words, contents.operation(run))


def drop(run: Run) -> None:
    """Nothing is left at the target, unless the volume has arrived there, or somebody else moves it."""
    volume, move = progress.find_volume(run.cloud.db, run.subject), moves.find(run.cloud.db, run.subject)
    if volume is not None and not has_arrived(run, volume) and not (move is not None and move.attached):
        closed_moves.drop(run.cloud, run.subject, _way(run))


def failed(run: Run) -> Commit | None:
    move = moves.find(run.cloud.db, run.subject)
    if move is not None and move.attached:
        return None
    return lambda tx: migrations.failed(tx, run.subject, run.request_id, chosen="host" in run.state)


def has_arrived(run: Run, volume: Volume) -> bool:
    return "host" in run.state and (volume.host, volume.backend) == (run.state["host"], run.state["backend"])


def place(run: Run) -> Backend:
    """The target."""
    found = backends.find(run.cloud.db, run.state["host"], run.state["backend"])
    if found is None:
        raise NotReady("The target is not there.")
    return found


def _way(run: Run) -> Way:
    """The hosts that do the work of a move that the release before has begun are the places themselves."""
    state = run.state
    hands = {"at": state.get("at", state["host"]), "source_at": state.get("source_at", state["source_host"])}
    places = {name: state[name] for name in ("source_host", "source_backend", "host", "backend", "generation")}
    return Way(**places, **hands)


FLOW = Flow(
    "block_storage.migrate",
    (Step("choose", choose), Step("copy", copy, drop)),
    failed=failed,
)
