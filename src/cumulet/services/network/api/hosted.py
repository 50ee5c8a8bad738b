# SPDX-License-Identifier: Apache-2.0
"""What agents host, over HTTP: networks on DHCP agents, routers on L3 agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.network import events
from cumulet.services.network.api.agents import AGENTS
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import chosen_fields
from cumulet.services.network.api.networks import NETWORKS
from cumulet.services.network.api.resource import tell
from cumulet.services.network.api.routers import ROUTERS
from cumulet.services.network.logic import agent_kinds, concern
from cumulet.services.network.logic import hosted as logic
from cumulet.services.network.store import common as store
from cumulet.services.network.types import Network, Router

_NOTHING = b"null"  # what clients read of an answer that says nothing


def find_networks(request: Request) -> Reply:
    rows = logic.networks_of(request.cloud.db, agent_kinds.view(request.cloud.db, request.params["agent_id"]))
    return Reply(200, {"networks": NETWORKS.shown(request, NETWORKS.seen(request, request.cloud.db, rows))})


def add_network(request: Request) -> Reply:
    _change(request, Network, _named(request, "network_id"), "add", logic.add_network)
    return Reply(201, _NOTHING)


def remove_network(request: Request) -> Reply:
    _change(request, Network, request.params["network_id"], "remove", logic.remove_network)
    return Reply(204)


def find_routers(request: Request) -> Reply:
    rows = logic.routers_of(request.cloud.db, agent_kinds.view(request.cloud.db, request.params["agent_id"]))
    return Reply(200, {"routers": ROUTERS.shown(request, ROUTERS.seen(request, request.cloud.db, rows))})


def add_router(request: Request) -> Reply:
    _change(request, Router, _named(request, "router_id"), "add", logic.add_router)
    return Reply(201, _NOTHING)


def remove_router(request: Request) -> Reply:
    _change(request, Router, request.params["router_id"], "remove", logic.remove_router)
    return Reply(204)


def find_dhcp_agents(request: Request) -> Reply:
    """The agents that host the network; none for a network that there is not."""
    return _agents(request, logic.agents_of_network(request.cloud.db, request.params["network_id"]))


def find_l3_agents(request: Request) -> Reply:
    """The agents that host the router, each with its part in an HA router; none for a router that there is not."""
    router = store.find(request.cloud.db, Router, request.params["router_id"])
    found = logic.agents_of_router(request.cloud.db, router) if router is not None else []
    shown = AGENTS.shown(request, AGENTS.items(request.cloud.db, [agent for agent, _ in found]))
    fields = chosen_fields(request)
    if fields is None or "ha_state" in fields:
        shown = [{**item, "ha_state": state} for item, (_, state) in zip(shown, found, strict=True)]
    return Reply(200, {"agents": shown})


def _agents(request: Request, found: list[Any]) -> Reply:
    return Reply(200, {"agents": AGENTS.shown(request, AGENTS.items(request.cloud.db, found))})


def _named(request: Request, name: str) -> str:
    """What the body names."""
    found = request.body.get(name) if isinstance(request.body, dict) else None
    if not isinstance(found, str):
        raise Invalid(f"Failed to parse request. Required attribute '{name}' not specified")
    return found


def _change(request: Request, kind: type, key: str, verb: str, act: Callable[[Tx, str, str], None]) -> None:
    """Let an agent host something, or no longer, and the hosts know."""
    agent_id = request.params["agent_id"]

    def write(tx: Tx) -> None:
        concerned = concern.of(tx, kind, [key])
        act(tx, agent_id, key)
        tell(request.cloud, tx, concerned | concern.of(tx, kind, [key]))
        topic, payload = events.hosted(verb, "network" if kind is Network else "router", key, agent_id)
        request.cloud.outbox.publish(tx, topic, payload, request.request_id)

    request.cloud.db.write(write)


FAMILY = Family(
    routes=(
        Route("GET", "/agents/{agent_id}/dhcp-networks", find_networks, "get_dhcp-networks"),
        Route("POST", "/agents/{agent_id}/dhcp-networks", add_network, "create_dhcp-network"),
        Route("DELETE", "/agents/{agent_id}/dhcp-networks/{network_id}", remove_network, "delete_dhcp-network"),
        Route("GET", "/agents/{agent_id}/l3-routers", find_routers, "get_l3-routers"),
        Route("POST", "/agents/{agent_id}/l3-routers", add_router, "create_l3-router"),
        Route("DELETE", "/agents/{agent_id}/l3-routers/{router_id}", remove_router, "delete_l3-router"),
        Route("GET", "/networks/{network_id}/dhcp-agents", find_dhcp_agents, "get_dhcp-agents"),
        Route("GET", "/routers/{router_id}/l3-agents", find_l3_agents, "get_l3-agents"),
    ),
    extensions={
        "agent": ("agent", "2013-02-03T10:00:00-00:00"),
        "agent-resources-synced": ("Agent's Resource View Synced to Placement", "2018-12-19T00:00:00-00:00"),
        "agent_sort_key": ("Agents Sort Key", "2013-02-03T10:00:00-00:00"),
        "dhcp_agent_scheduler": ("DHCP Agent Scheduler", "2013-02-07T10:00:00-00:00"),
        "l3_agent_scheduler": ("L3 Agent Scheduler", "2013-02-07T10:00:00-00:00"),
    },
)
