# SPDX-License-Identifier: Apache-2.0
"""What can be done with groups of endpoints, and which endpoints a project's catalogue is limited to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.identity.logic import revocations
from cumulet.services.identity.logic.scopes import lacks
from cumulet.services.identity.store import endpoint_filters, endpoints
from cumulet.services.identity.store import endpoint_groups as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Endpoint, EndpointGroup

FIELDS = ("name", "description", "filters")
ATTRIBUTES = ("service_id", "region_id", "interface")  # what an endpoint may be chosen by


def get(source: Source, group_id: str) -> EndpointGroup:
    found = store.find(source, group_id)
    if found is None:
        raise NotFound(f"Could not find Endpoint Group: {group_id}.", code="EndpointGroupNotFound")
    return found


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[EndpointGroup]:
    return store.find_all(source, filters)


def create(cloud: Cloud, words: Mapping[str, Any]) -> EndpointGroup:
    if not words.get("filters"):
        raise Invalid("filters field is required and cannot be empty")
    _check_filters(words)
    new = EndpointGroup(ids.new_hex(), words["name"], words.get("description"), words["filters"])
    cloud.db.write(lambda tx: store.add(tx, new))
    return new


def update(cloud: Cloud, group_id: str, words: Mapping[str, Any]) -> EndpointGroup:
    _check_filters(words)

    def write(tx: Tx) -> EndpointGroup:
        get(tx, group_id)
        store.change(tx, group_id, {name: words[name] for name in FIELDS if name in words})
        revocations.changed(tx)
        return get(tx, group_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, group_id: str) -> None:
    """Remove a group; projects are no longer limited to it."""

    def write(tx: Tx) -> None:
        get(tx, group_id)
        store.remove(tx, group_id)
        revocations.changed(tx)

    cloud.db.write(write)


def members(source: Source, group: EndpointGroup) -> list[Endpoint]:
    """The endpoints that are in the group now."""
    return [endpoint for endpoint in endpoints.find_all(source) if _is_in(endpoint, group)]


def chosen(source: Source, project_id: str, every: Iterable[Endpoint]) -> list[Endpoint]:
    """Those of the endpoints `every` that a project's catalogue is limited to; none where it is not limited."""
    own = set(endpoint_filters.endpoint_ids(source, project_id))
    groups = store.of_project(source, project_id)
    if not own and not groups:
        return []
    return [one for one in every if one.id in own or any(_is_in(one, group) for group in groups)]


def _is_in(endpoint: Endpoint, group: EndpointGroup) -> bool:
    return all(getattr(endpoint, name) == value for name, value in group.filters.items())


def _check_filters(words: Mapping[str, Any]) -> None:
    if not set(words.get("filters", ())) <= set(ATTRIBUTES):
        raise lacks(" or ".join(ATTRIBUTES), "endpoint_group")
