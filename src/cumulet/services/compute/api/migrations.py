# SPDX-License-Identifier: Apache-2.0
"""`/os-migrations` and `/servers/{id}/migrations`"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.api.hypervisors import HOST_ADDRESS
from cumulet.services.compute.logic import migrations as logic
from cumulet.services.compute.store.migrations import Criteria
from cumulet.services.compute.types import Migration, VmState

_RULE = "os_compute_api:os-migrations:index"
_OF_SERVER = "os_compute_api:servers:migrations"
_PATH = "/servers/{server_id}/migrations"
_ONE = _PATH + "/{migration_id}"
TYPES, PAGES, BEFORE, OWNERS = (2, 23), (2, 59), (2, 66), (2, 80)
_COLUMNS = {
    "instance_uuid": "server_id",
    "source_compute": "source",
    "status": "status",
    "migration_type": "type",
    "user_id": "user_id",
    "project_id": "project_id",
}

_TEXT = {"type": "string"}
_MANY = fields.many(_TEXT)
_MOMENT = fields.single({"type": "string", "format": "date-time"})
_LIST = fields.query(
    {
        "hidden": _MANY,
        "host": _MANY,
        "instance_uuid": _MANY,
        "source_compute": _MANY,
        "status": _MANY,
        "migration_type": _MANY,
        "limit": {**fields.single(fields.COUNT), "since": PAGES},
        "marker": {**fields.single(_TEXT), "since": PAGES},
        "changes-since": {**_MOMENT, "since": PAGES},
        "changes-before": {**_MOMENT, "since": BEFORE},
        "user_id": {**fields.single(_TEXT), "since": OWNERS},
        "project_id": {**fields.single(_TEXT), "since": OWNERS},
    },
    closed_since=PAGES,
)
_NOTHING = fields.query({}, closed_since=(2, 102))


def find_all(request: Request) -> Reply:
    """All migrations, or those of one project: whoever asks for more than the own one needs a rule for that."""
    wanted = request.query.get("project_id")
    if not wanted or wanted != request.ctx.project_id:
        request.require(f"{_RULE}:all_projects", {})
    with_hosts = request.allows(f"{_RULE}:host", {})
    paged = request.version >= PAGES
    criteria = _criteria(request)
    criteria.limit, criteria.newest_first = (common.page_limit(request) if paged else None), paged
    found = logic.find_all(request.cloud.db, criteria, request.query.get("marker") or None if paged else None)
    shown = [] if fields.as_boolean(request.query.get("hidden", "")) else found
    answer: dict[str, Any] = {"migrations": [_listed(request, each, with_hosts=with_hosts) for each in shown]}
    if paged:
        links = common.next_links(request, found, criteria.limit or 0, found[-1].uuid if found else "")
        if links:
            answer["migrations_links"] = links
    return Reply(200, answer)


def of_server(request: Request) -> Reply:
    """The live migrations of a server that are under way."""
    server = common.the_server(request)
    with_hosts = request.allows(f"{_OF_SERVER}:index:host", common.server_target(request))
    found = logic.live_under_way(request.cloud.db, server)
    return Reply(200, {"migrations": [_under_way(request, each, with_hosts=with_hosts) for each in found]})


def get(request: Request) -> Reply:
    server = common.the_server(request)
    found = logic.get_live(request.cloud.db, server, request.params["migration_id"])
    return Reply(200, {"migration": _under_way(request, found, with_hosts=True)})


def give_up(request: Request) -> Reply:
    logic.refuse_lively(request.ctx, common.the_server(request), "abort live migration")


def hurry(request: Request) -> Reply:
    logic.refuse_lively(request.ctx, common.the_server(request), "force_complete", (VmState.ACTIVE,))


def flavor_number(flavor: Mapping[str, Any]) -> int:
    """The integer that stands for a flavor where the API shows no id: the same for the same flavor."""
    return zlib.crc32(str(flavor["id"]).encode()) & 0x7FFFFFFF


def _criteria(request: Request) -> Criteria:
    query = request.query
    equal = {column: query[name] for name, column in _COLUMNS.items() if name in query}
    host = query.get("host")
    if host is not None:
        equal.pop("source", None)  # either end is asked for
    since = common.moment(request, "changes-since") if request.version >= PAGES else None
    before = common.moment(request, "changes-before") if request.version >= BEFORE else None
    if since is not None and before is not None and before < since:
        raise Invalid("The value of changes-since must be less than or equal to changes-before.")
    return Criteria(equal=equal, host=host, changed_since=since, changed_before=before)


def _listed(request: Request, migration: Migration, *, with_hosts: bool) -> dict[str, Any]:
    view = {
        "id": migration.id,
        "instance_uuid": migration.server_id,
        "status": migration.status,
        "old_instance_type_id": flavor_number(migration.old_flavor),
        "new_instance_type_id": flavor_number(migration.new_flavor),
        "created_at": common.micro(migration.created_at),
        "updated_at": common.micro(migration.updated_at),
        **_hosts(migration, shown=with_hosts),
        **_owners(request, migration),
    }
    if request.version >= TYPES:
        view["migration_type"] = migration.type
        if migration.type == logic.LIVE and migration.status in logic.LIVE_UNDER_WAY:
            view["links"] = common.links(request, f"servers/{migration.server_id}/migrations", str(migration.id))
    return view


def _under_way(request: Request, migration: Migration, *, with_hosts: bool) -> dict[str, Any]:
    progress = dict.fromkeys(
        f"{what}_{part}_bytes" for what in ("memory", "disk") for part in ("total", "processed", "remaining")
    )
    return {
        "id": migration.id,
        "server_uuid": migration.server_id,
        "status": migration.status,
        "created_at": common.micro(migration.created_at),
        "updated_at": common.micro(migration.updated_at),
        **progress,
        **_hosts(migration, shown=with_hosts),
        **_owners(request, migration),
    }


def _hosts(migration: Migration, *, shown: bool) -> dict[str, Any]:
    target, source = (migration.destination, migration.source) if shown else (None, None)
    return {
        "source_compute": source,
        "source_node": source,
        "dest_compute": target,
        "dest_node": target,
        "dest_host": HOST_ADDRESS if target else None,
    }


def _owners(request: Request, migration: Migration) -> dict[str, Any]:
    found: dict[str, Any] = {"uuid": migration.uuid} if request.version >= PAGES else {}
    if request.version >= OWNERS:
        found.update(user_id=migration.user_id, project_id=migration.project_id)
    return found


ROUTES = (
    Route("GET", "/os-migrations", find_all, _RULE, query=_LIST),
    Route("GET", _PATH, of_server, f"{_OF_SERVER}:index", query=_NOTHING, since=TYPES, target=common.server_target),
    Route("GET", _ONE, get, f"{_OF_SERVER}:show", query=_NOTHING, since=TYPES, target=common.server_target),
    Route("DELETE", _ONE, give_up, f"{_OF_SERVER}:delete", since=(2, 24), target=common.server_target),
    Route(
        "POST",
        _ONE + "/action",
        hurry,
        f"{_OF_SERVER}:force_complete",
        body=Schema(fields.wrapped("force_complete", fields.NULL)),
        action="force_complete",
        since=(2, 22),
        target=common.server_target,
    ),
)
