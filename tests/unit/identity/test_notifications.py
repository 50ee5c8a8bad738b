# SPDX-License-Identifier: Apache-2.0
"""Notifications: told with the change, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cumulet.kernel import log
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db.outbox import Event
from cumulet.kernel.errors import Conflict
from cumulet.services.identity.logic import (
    credentials,
    domains,
    endpoints,
    groups,
    projects,
    regions,
    roles,
    services,
    users,
)
from cumulet.services.identity.types import Region

CTX = Context(system_scope="all")


@pytest.fixture
def heard(cloud: Cloud) -> Callable[[], list[tuple[str, str]]]:
    """What has been told since the last time: topic and resource."""
    events: list[Event] = []
    cloud.outbox.subscribe("identity", events.append)

    def hear() -> list[tuple[str, str]]:
        while cloud.outbox.deliver():
            pass
        told = [(event.topic, event.payload["resource_info"]) for event in events]
        events.clear()
        return told

    return hear


def service_of(cloud: Cloud) -> str:
    return services.find_all(cloud.db)[0].id


LIVES: dict[str, tuple[Callable[[Cloud], Any], Callable[[Cloud, str], Any] | None, Callable[[Cloud, str], Any]]] = {
    "project": (
        lambda cloud: projects.create(cloud, CTX, {"name": "x"}),
        lambda cloud, id_: projects.update(cloud, id_, {"description": "y"}),
        projects.delete,
    ),
    "user": (
        lambda cloud: users.create(cloud, CTX, {"name": "x"}),
        lambda cloud, id_: users.update(cloud, id_, {"email": "y"}),
        users.delete,
    ),
    "group": (
        lambda cloud: groups.create(cloud, CTX, {"name": "x"}),
        lambda cloud, id_: groups.update(cloud, id_, {"description": "y"}),
        groups.delete,
    ),
    "role": (
        lambda cloud: roles.create(cloud, {"name": "x"}),
        lambda cloud, id_: roles.update(cloud, id_, {"description": "y"}),
        roles.delete,
    ),
    "region": (
        lambda cloud: regions.create(cloud, Region("x", "", None)),
        lambda cloud, id_: regions.update(cloud, id_, {"description": "y"}),
        regions.delete,
    ),
    "service": (
        lambda cloud: services.create(cloud, {"type": "x"}),
        lambda cloud, id_: services.update(cloud, id_, {"name": "y"}),
        services.delete,
    ),
    "endpoint": (
        lambda cloud: endpoints.create(
            cloud, {"interface": "public", "service_id": service_of(cloud), "url": "http://x"}
        ),
        lambda cloud, id_: endpoints.update(cloud, id_, {"url": "http://y"}),
        endpoints.delete,
    ),
    "credential": (
        lambda cloud: credentials.create(cloud, {"type": "cert", "blob": "b", "user_id": "u"}),
        None,
        credentials.delete,
    ),
}


@pytest.mark.parametrize("kind", LIVES)
def test_a_life_is_told(cloud: Cloud, heard: Callable[[], list[tuple[str, str]]], kind: str) -> None:
    create, update, delete = LIVES[kind]
    resource_id = create(cloud).id
    assert heard() == [(f"identity.{kind}.created", resource_id)]
    if update is not None:
        update(cloud, resource_id)
        assert heard() == [(f"identity.{kind}.updated", resource_id)]
    delete(cloud, resource_id)
    assert heard() == [(f"identity.{kind}.deleted", resource_id)]


def test_a_domain_goes_with_all_that_is_in_it(cloud: Cloud, heard: Callable[[], list[tuple[str, str]]]) -> None:
    domain = domains.create(cloud, {"name": "d"})
    inside = {"name": "x", "domain_id": domain.id}
    made = [projects.create(cloud, CTX, inside), groups.create(cloud, CTX, inside), users.create(cloud, CTX, inside)]
    domains.update(cloud, domain.id, {"enabled": False})
    assert heard()[-2:] == [("identity.project.updated", domain.id), ("identity.domain.updated", domain.id)]
    domains.delete(cloud, domain.id)
    kinds = ("project", "group", "user")
    told = [(f"identity.{kind}.deleted", one.id) for kind, one in zip(kinds, made, strict=True)]
    domain_told = [("identity.project.deleted", domain.id), ("identity.domain.deleted", domain.id)]
    assert heard() == [*told, *domain_told]


def test_what_did_not_happen_is_not_told(cloud: Cloud, heard: Callable[[], list[tuple[str, str]]]) -> None:
    with pytest.raises(Conflict):
        projects.create(cloud, CTX, {"name": "admin"})
    assert heard() == []


def test_the_request_is_named(cloud: Cloud) -> None:
    events: list[Event] = []
    cloud.outbox.subscribe("identity.user", events.append)
    before = log.request_id.set("req-1")
    try:
        users.create(cloud, CTX, {"name": "x"})
    finally:
        log.request_id.reset(before)
    cloud.outbox.deliver()
    assert [event.request_id for event in events] == ["req-1"]
