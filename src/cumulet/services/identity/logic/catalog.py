# SPDX-License-Identifier: Apache-2.0
"""The catalogue as a token's holder sees it, and how it follows the services that are there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.services.identity.logic import endpoint_groups, revocations
from cumulet.services.identity.logic.memory import Memory
from cumulet.services.identity.store import endpoints, regions, services
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Endpoint, Region, Service

INTERFACES = ("public", "internal", "admin")

_VARIABLE = re.compile(r"[$%]\((\w+)\)s")


class Entry(msgspec.Struct, frozen=True):
    """A service of this cloud as it has to stand in the catalogue; `admin_url` is where administrators find it.

    They find it where all do where that is empty.
    """

    type: str
    name: str
    url: str
    admin_url: str = ""

    def url_of(self, interface: str) -> str:
        return (self.admin_url if interface == "admin" else "") or self.url


def render(source: Source, user_id: str, project_id: str | None) -> list[dict[str, Any]]:
    """All enabled services with their enabled endpoints, the variables of their URLs filled in.

    An endpoint whose URL asks for a project is left out where there is none, or where it asks for something unknown.
    Where the project is limited to some endpoints, services without one of them are left out too.
    """
    values = {"user_id": user_id}
    if project_id is not None:
        values |= {"project_id": project_id, "tenant_id": project_id}
    offered: dict[str, list[dict[str, Any]]] = {}
    every = endpoints.find_all(source)
    chosen = endpoint_groups.chosen(source, project_id, every) if project_id is not None else []
    for endpoint in chosen or every:
        url = fill(endpoint.url, values)
        if endpoint.enabled and url is not None:
            offered.setdefault(endpoint.service_id, []).append(_entry(endpoint, url))
    return [
        {"id": service.id, "type": service.type, "name": service.name, "endpoints": offered.get(service.id, [])}
        for service in services.find_all(source)
        if service.enabled and (service.id in offered or not chosen)
    ]


class Catalogs(Memory[tuple[str, str | None], list[dict[str, Any]]]):
    """Catalogues as they were rendered, by user and project."""


def of(cloud: Cloud, user_id: str, project_id: str | None) -> list[dict[str, Any]]:
    """As `render`, remembered until the epoch has grown; not to be changed by whoever gets it."""
    remembered, whose = cloud.keep(Catalogs), (user_id, project_id)
    epoch = revocations.epoch_now(cloud)
    shown = remembered.find(epoch, whose)
    if shown is None:
        shown = render(cloud.db, user_id, project_id)
        remembered.put(epoch, whose, shown)
    return shown


def fill(url: str, values: dict[str, str]) -> str | None:
    """`url` with its variables filled in; None where one of them has no value."""
    if any(name not in values for name in _VARIABLE.findall(url)):
        return None
    return _VARIABLE.sub(lambda found: values[found[1]], url)


def follow(tx: Tx, region_id: str, entries: Iterable[Entry]) -> None:
    """Make the catalogue say where `entries` are; what others have put into it stays."""
    if regions.find(tx, region_id) is None:
        regions.add(tx, Region(region_id, "", None))
    for entry in entries:
        wanted = (Filter("type", entry.type), Filter("name", entry.name))
        service = next(iter(services.find_all(tx, wanted)), None)
        if service is None:
            service = Service(ids.new_hex(), entry.type, entry.name, None, True, {})
            services.add(tx, service)
        have = {
            endpoint.interface: endpoint
            for endpoint in endpoints.find_all(tx, [Filter("service_id", service.id), Filter("region_id", region_id)])
        }
        for interface in INTERFACES:
            url = entry.url_of(interface)
            if interface not in have:
                endpoints.add(tx, Endpoint(ids.new_hex(), interface, region_id, service.id, url, True, {}))
            elif have[interface].url != url:
                endpoints.change(tx, have[interface].id, {"url": url})
            else:
                continue
            revocations.changed(tx)


def _entry(endpoint: Endpoint, url: str) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "interface": endpoint.interface,
        "region_id": endpoint.region_id,
        "region": endpoint.region_id,
        "url": url,
    }
