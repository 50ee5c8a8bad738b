# SPDX-License-Identifier: Apache-2.0
"""What the paths of agents name that host something."""

from __future__ import annotations

from functools import partial

from personas.props import network
from personas.stage import Maker, Prop, Stage


def hosting(stage: Stage, part: str, kind: str) -> Prop:
    """A router or a network that the agent of a host hosts which there is not."""
    agent = network.agent(stage, kind)["agent_id"]
    found = network.made(stage, part)["id"]
    there = "dhcp-networks" if part == "network" else "l3-routers"
    if part == "router":
        for here in stage.make("network", f"/routers/{found}/l3-agents", None, "admin", "GET")["agents"]:
            stage.make("network", f"/agents/{here['id']}/l3-routers/{found}", None, "admin", "DELETE")
    stage.make("network", f"/agents/{agent}/{there}", {f"{part}_id": found}, "admin")
    return {"agent_id": agent, f"{part}_id": found}


def agent(stage: Stage, kind: str) -> Prop:
    return {"agent_id": network.agent(stage, kind)["agent_id"]}


MAKERS: dict[str, Maker] = {
    "/agents/{agent_id}": partial(agent, kind="DHCP agent"),
    "/agents/{agent_id}/dhcp-networks/{network_id}": partial(hosting, part="network", kind="DHCP agent"),
    "/agents/{agent_id}/l3-routers/{router_id}": partial(hosting, part="router", kind="L3 agent"),
    "/networks/{network_id}": lambda stage: {"network_id": network.network(stage)["id"]},
    "/routers/{router_id}": lambda stage: {"router_id": network.router(stage)["id"]},
}
