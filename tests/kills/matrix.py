# SPDX-License-Identifier: Apache-2.0
"""The kill matrix, generated from the saga table: which places there are, and what is asked of a kill at each.

`CONTROL` are the places of all flows: before, inside and after each step, before and after each undo. What hosts do for
a flow is not in any table: it is found by watching the flow once.

By default only one place is taken of those that leave the same rows behind: before a step all is as after the one
before it, and before an undo as after it, for it is not committed yet. KILLS=all takes every place.
"""

from __future__ import annotations

import os

import cumulet.app
from cumulet.kernel.manifest import read_all
from cumulet.kernel.saga import FAILED, Flow, places
from kills.scenarios import SCENARIOS, Scenario
from kills.world import World

FLOWS: dict[str, Flow] = {
    flow.name: flow
    for service in read_all(cumulet.app.SERVICES)
    if (room := service.room("flows")) is not None
    for flow in room.FLOWS
}
BACKWARDS = ("undo", "undone")
EVERY = os.environ.get("KILLS") == "all"
FIRST = frozenset(f"{flow.name}.{flow.steps[0].name}:before" for flow in FLOWS.values())
CONTROL = [
    place
    for place in places(FLOWS.values())
    if EVERY or place in FIRST or place.rpartition(":")[2] not in ("before", "undo")
]
REFUSED = [
    f"{flow.name}.{step.name}:{moment}"
    for flow in FLOWS.values()
    for step in flow.steps
    for moment in (("before", "inside") if EVERY else ("inside",))
]


def flow_of(place: str) -> str:
    return ".".join(place.split(".")[:2])


def wishes(place: str) -> list[str]:
    """What has to happen so that somebody comes by the place and dies there."""
    step, _, moment = place.partition(":")
    if moment not in BACKWARDS:
        return [place]
    if step.endswith(f".{FAILED}"):
        step = f"{flow_of(place)}.{FLOWS[flow_of(place)].steps[-1].name}"
    return [f"{step}:inside fail", place]


def run(
    world: World, flow: str, wanted: list[str], *, alone: bool = False, scenario: Scenario | None = None
) -> list[str]:
    """Have the flow run while `wanted` comes true; what is wrong in the end.

    A flow that was only killed has reached its goal; one that was made to fail is undone. In both cases nothing is half
    done, and nothing is left over, neither now nor after everything was deleted. With `alone` nobody who was killed
    comes back before another has brought the flow to its end. The `scenario` is the flow's own, or another one.
    """
    scenario = scenario or SCENARIOS[flow]
    thing = scenario.prepare(world)
    if alone:
        world.cloud.hold()
    world.cloud.wish(*wanted)
    scenario.drive(world, thing)
    if alone:
        world.quiet()
        world.cloud.release()
    world.rest()
    wrong = [f"nobody came by {wish}" for wish in world.cloud.ungranted()]
    world.rest()
    failed = any(wish.endswith(" fail") for wish in wanted)
    if not failed and not wrong and not scenario.reached(world, thing):
        wrong.append(f"{flow} has not reached its goal")
    if failed and not scenario.undone(world, thing):
        wrong.append(f"{flow} was not undone")
    wrong += [f"in the end: {finding}" for finding in world.findings()]
    world.clear()
    return wrong + [f"after everything was deleted: {finding}" for finding in world.findings()]


def watch(world: World, flow: str, scenario: Scenario | None = None) -> list[str]:
    """The places by which a flow comes, in their order: those of hosts, and of what hosts ask of the control plane.

    The flow is watched twice, for what is done now and then comes by as well.
    """
    scenario = scenario or SCENARIOS[flow]
    again = set(_watch(world, scenario))
    return [place for place in _watch(world, scenario) if place in again]


def _watch(world: World, scenario: Scenario) -> list[str]:
    thing = scenario.prepare(world)
    world.cloud.seen.touch()
    scenario.drive(world, thing)
    world.rest()
    seen = list(dict.fromkeys(world.cloud.seen.read_text().split()))
    world.cloud.seen.unlink()
    world.clear()
    return [place for place in seen if flow_of(place) not in FLOWS]
