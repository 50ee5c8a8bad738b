# SPDX-License-Identifier: Apache-2.0
"""Flavors and service profiles over HTTP, with the profiles of each flavor and who provides it next."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network.api import attributes as parsing
from cumulet.services.network.api import common
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import flavors as logic
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import flavors as store
from cumulet.services.network.types.flavors import Flavor, ServiceProfile

_DESCRIPTION = Attribute(post=True, put=True, default="", check=check.or_none(check.text(1024)), sorts=True)
_ENABLED = Attribute(post=True, put=True, default=True, convert=check.boolean, sorts=True)
_NOBODYS = {"project_id": None, "tenant_id": None}  # what binds a profile to a flavor belongs to no project


def _service_type(value: Any) -> str | None:
    if not isinstance(value, str) or value not in logic.SERVICE_TYPES:
        raise fault("InvalidServiceType", service_type=value)
    return None


def _render(source: Source, rows: list[Flavor]) -> list[Item]:
    profiles: dict[str, list[str]] = {row.id: [] for row in rows}
    for one in store.of_flavors(source, profiles):
        profiles[one.flavor_id].append(one.service_profile_id)
    return [
        {
            "id": row.id,
            "name": row.name,
            "description": row.description,
            "service_type": row.service_type,
            "enabled": row.enabled,
            "service_profiles": profiles[row.id],
        }
        for row in rows
    ]


def _render_profiles(source: Source, rows: list[ServiceProfile]) -> list[Item]:
    return [
        {
            "id": row.id,
            "description": row.description,
            "driver": row.driver,
            "metainfo": row.metainfo,
            "enabled": row.enabled,
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[Flavor]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


def _create_profiles(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[ServiceProfile]:
    return [logic.create_profile(cloud, tx, ctx, item) for item in items]


FLAVORS = Resource(
    name="flavor",
    collection="flavors",
    kind=Flavor,
    attributes={
        "id": common.ID,
        "name": common.NAME,
        "description": _DESCRIPTION,
        "service_type": Attribute(post=True, check=_service_type, sorts=True),
        "service_profiles": Attribute(post=True, put=True, default=[], check=check.uuid_list, filters=False),
        "enabled": _ENABLED,
    },
    render=_render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
)


class _Profiles(Resource[ServiceProfile]):
    """Service profiles, whose path has no hyphen."""

    @property
    def path(self) -> str:
        return f"/{self.collection}"


PROFILES = _Profiles(
    name="service_profile",
    collection="service_profiles",
    kind=ServiceProfile,
    attributes={
        "id": common.ID,
        "description": _DESCRIPTION,
        "driver": Attribute(post=True, put=True, default="", check=check.text(1024), sorts=True),
        "metainfo": Attribute(post=True, put=True, default="", check=check.text(4096), filters=False, sorts=True),
        "enabled": _ENABLED,
    },
    render=_render_profiles,
    create=_create_profiles,
    update=logic.update_profile,
    delete=logic.delete_profile,
)
_ATTACHED = {"id": Attribute(post=True, check=check.uuid)}


def attach(request: Request) -> Reply:
    """Give the flavor a profile; what is answered has the flavor's id, as OpenStack has it."""
    flavor_id = FLAVORS.load(request, request.params["flavor_id"])["id"]
    if not request.allows("create_flavor_service_profile", _NOBODYS):
        raise Forbidden("rule:create_flavor_service_profile is disallowed by policy", code="PolicyNotAuthorized")
    body = request.body
    if isinstance(body, dict) and body.get("service_profile") is None:
        raise Invalid("Unable to find 'service_profile' in request body")
    given = parsing.read_bodies(request.ctx, body, "service_profile", "service_profiles", _ATTACHED)[0]
    request.cloud.db.write(lambda tx: logic.attach(tx, flavor_id, given["id"]))
    return Reply(201, {"service_profile": {"id": flavor_id}})


def show_attached(request: Request) -> Reply:
    """Whether the flavor has the profile: nothing more is said of it."""
    flavor_id, profile_id = _attached(request)
    logic.check_attached(request.cloud.db, flavor_id, profile_id)
    return Reply(200, {"service_profile": {}})


def detach(request: Request) -> Reply:
    flavor_id, profile_id = _attached(request)
    if not request.allows("delete_flavor_service_profile", _NOBODYS):
        raise Forbidden("rule:delete_flavor_service_profile is disallowed by policy", code="PolicyNotAuthorized")
    request.cloud.db.write(lambda tx: logic.detach(tx, flavor_id, profile_id))
    return Reply(204)


def find_next(request: Request) -> Reply:
    """Who provides the next service of the flavor."""
    flavor_id = FLAVORS.load(request, request.params["flavor_id"])["id"]
    found = logic.next_provider(request.cloud.db, flavor_id)
    return Reply(200, {"next_providers": [{"driver": found.driver, "provider": found.name}]})


def find_providers(request: Request) -> Reply:
    """Who provides what, under names that leave drivers out."""
    found = [{"service_type": one.service_type, "name": one.name, "default": one.default} for one in logic.PROVIDERS]
    return Reply(200, {"service_providers": found})


def _attached(request: Request) -> tuple[str, str]:
    if not request.allows("get_flavor_service_profile", _NOBODYS):
        raise NotFound("The resource could not be found.")
    return request.params["flavor_id"], request.params["id"]


FAMILY = Family(
    resources=(FLAVORS, PROFILES),
    routes=(
        Route("POST", "/flavors/{flavor_id}/service_profiles", attach, ANYONE),
        Route("GET", "/flavors/{flavor_id}/service_profiles/{id}", show_attached, ANYONE),
        Route("DELETE", "/flavors/{flavor_id}/service_profiles/{id}", detach, ANYONE),
        Route("GET", "/flavors/{flavor_id}/next_providers", find_next, ANYONE),
        Route("GET", "/service-providers", find_providers, "get_service_provider"),
    ),
    extensions={
        "flavors": ("Neutron Service Flavors", "2015-09-17T10:00:00-00:00"),
        "l3-flavors": ("Router Flavor Extension", "2016-05-17T00:00:00-00:00"),
        "service-type": ("Neutron Service Type Management", "2013-01-20T00:00:00-00:00"),
    },
)
