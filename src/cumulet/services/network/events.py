# SPDX-License-Identifier: Apache-2.0
"""Notifications under Neutron's names: `network.create.end` with the item, `port.delete.end` with its id too."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.services.network.types.meters import Metered

Payload = dict[str, Any]


def created(name: str, item: Payload) -> tuple[str, Payload]:
    """Topic and payload for a new resource of the kind `name`."""
    return f"{name}.create.end", {name: item}


def updated(name: str, item: Payload) -> tuple[str, Payload]:
    return f"{name}.update.end", {name: item}


def deleted(name: str, item: Payload) -> tuple[str, Payload]:
    return f"{name}.delete.end", {f"{name}_id": item["id"], name: item}


def begun(verb: str, name: str, words: Payload) -> tuple[str, Payload]:
    """That `verb` (create, update, delete) has been asked for; `words` are what was sent. Told with what came of it."""
    return f"{name}.{verb}.start", words


def tagged(verb: str, collection: str, key: str, tags: list[str] | None) -> tuple[str, Payload]:
    """For the tags of one of `collection`; `verb` is `create.start`, `delete_all.end` and so on."""
    words = {"obj_resource": collection, "obj_resource_id": key}
    return f"tag.{verb}", words if tags is None else {**words, "tags": tags}


def hosted(verb: str, kind: str, key: str, agent_id: str) -> tuple[str, Payload]:
    """For a network or a router that an agent comes to host (`add`), or no longer (`remove`)."""
    part = "dhcp_agent" if kind == "network" else "l3_agent"
    return f"{part}.{kind}.{verb}", {"agent": {"id": agent_id, f"{kind}_id": key}}


def interface(verb: str, words: Payload) -> tuple[str, Payload]:
    """For a router's interface; `verb` is create or delete, `words` are what the API answers."""
    return f"router.interface.{verb}", {"router_interface": words}


def metered(host: str, words: Metered) -> tuple[str, Payload]:
    """For what a host's routers have counted for a label since it last said so."""
    return "l3.meter", {**msgspec.structs.asdict(words), "tenant_id": words.project_id, "host": host}
