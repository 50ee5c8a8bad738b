# SPDX-License-Identifier: Apache-2.0
"""Attributes and parts of items that several resources have."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.db import Source
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import REQUIRED, Attribute
from cumulet.services.network.api.listing import Filter, Item
from cumulet.services.network.logic import access, sharing
from cumulet.services.network.types import Network

ID = Attribute(check=check.uuid, sorts=True)
NAME = Attribute(post=True, put=True, default="", check=check.name(), sorts=True)
PROJECT = Attribute(post=True, default=REQUIRED, check=check.text(255), sorts=True)
ADMIN_STATE = Attribute(post=True, put=True, default=True, convert=check.boolean, sorts=True)
STATUS = Attribute(sorts=True)
DESCRIPTION = Attribute(post=True, put=True, default="", check=check.text(255), convert=lambda value: value or "")
NETWORK = Attribute(post=True, check=check.uuid, sorts=True)
ZONE_HINTS = Attribute(post=True, default=[], check=check.string_list(255), filters=False)

STANDARD = {
    "description": DESCRIPTION,
    "revision_number": Attribute(convert=check.integer),
    "created_at": Attribute(),
    "updated_at": Attribute(),
}
TAGS = {"tags": Attribute(filters=False)}


def standard(row: Any) -> Item:
    """Revision and times as answers have them."""
    return {
        "description": row.description,
        "revision_number": row.revision_number,
        "created_at": clock.iso_z(row.created_at),
        "updated_at": clock.iso_z(row.updated_at),
    }


def _split(values: list[str]) -> set[str]:
    return {tag for value in values for tag in value.split(",") if tag}


def _changed_since(item: Item, values: list[Any]) -> bool:
    """Neutron, too, looks at the first of several."""
    return bool(check.moment(item["updated_at"]) >= values[0])


TAG_FILTERS: dict[str, Filter] = {
    "tags": lambda item, values: _split(values) <= set(item["tags"]),
    "tags-any": lambda item, values: bool(_split(values) & set(item["tags"])),
    "not-tags": lambda item, values: not _split(values) <= set(item["tags"]),
    "not-tags-any": lambda item, values: not _split(values) & set(item["tags"]),
    "changed_since": _changed_since,
}


def network_words(networks: dict[str, Network], network_id: str) -> Item:
    """What policy asks of the network that something belongs to, and what ports show of it."""
    network = networks.get(network_id)
    owner = network.project_id if network is not None else None
    return {
        "network:project_id": owner,
        "network:tenant_id": owner,
        **(sharing.words(network) if network is not None else {"shared": False}),
        "router:external": network.external if network is not None else False,
        "qos_network_policy_id": network.qos_policy_id if network is not None else None,
    }


def with_network(source: Source, item: Item) -> Item:
    """An item to be created, with the words of the network that it names."""
    key = str(item["network_id"])
    return {**item, **network_words({key: access.must(source, Network, key)}, key)}
