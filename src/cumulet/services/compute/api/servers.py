# SPDX-License-Identifier: Apache-2.0
"""`/servers`"""

from __future__ import annotations

import re
from typing import Any

from cumulet.kernel.errors import Conflict, Forbidden, Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.compute.api import server_schemas as schemas
from cumulet.services.compute.api import server_views as views
from cumulet.services.compute.api.common import (
    BOOLEANS,
    moment,
    next_links,
    page_limit,
    required_flag,
    server_target,
    the_server,
)
from cumulet.services.compute.api.fields import as_boolean
from cumulet.services.compute.api.server_create import create
from cumulet.services.compute.logic import groups, hosts, patterns, soft_delete
from cumulet.services.compute.logic import servers as logic
from cumulet.services.compute.store.servers import Criteria
from cumulet.services.compute.types import Server
from cumulet.services.network.contract import NetworkContract

_RULE = "os_compute_api:servers"

# The API's words for columns.
_COLUMNS = {"uuid": "id", "display_name": "name", "display_description": "description", "image_ref": "image_id"}
_COLUMNS |= {"node": "host", "key_name": "keypair", "instance_type_id": "flavor"}
_FOR_ALL = (
    "name",
    "ip",
    "ip6",
    "status",
    "image",
    "flavor",
    "changes-since",
    "changes-before",
    "all_tenants",
    "user_id",
)
_EQUAL = {
    "uuid": "id", "user_id": "user_id", "launch_index": "launch_index", "image": "image_id", "image_ref": "image_id",
    "host": "host", "node": "host", "reservation_id": "reservation_id", "vm_state": "vm_state",
    "task_state": "task_state", "power_state": "power_state", "availability_zone": "availability_zone",
    "root_device_name": "root_device_name", "progress": "progress", "access_ip_v4": "access_ip_v4",
    "access_ip_v6": "access_ip_v6", "locked_by": "locked_by",
}  # fmt: skip
_LIKE = {
    "name": "name", "display_name": "name", "hostname": "hostname", "description": "description",
    "display_description": "description", "key_name": "keypair",
}  # fmt: skip
_NUMBERS = ("launch_index", "power_state", "progress")
# What others than administrators may search by, from 2.83 on.
_SINCE_83 = (
    "availability_zone", "config_drive", "key_name", "created_at", "launched_at", "terminated_at", "power_state",
    "task_state", "vm_state", "progress",
)  # fmt: skip
_FORBIDDEN = (
    "block_device_mapping", "services", "metadata", "system_metadata", "info_cache", "security_groups", "pci_devices",
)  # fmt: skip


def find_all(request: Request) -> Reply:
    found, limit, empty = _found(request, "index")
    body: dict[str, Any] = {"servers": [] if empty else [views.basic(request, server) for server in found]}
    return _listed(request, body, found, limit)


def find_all_detailed(request: Request) -> Reply:
    found, limit, empty = _found(request, "detail")
    around = views.surroundings(request, found)
    body: dict[str, Any] = {"servers": [] if empty else [views.detailed(request, server, around) for server in found]}
    return _listed(request, body, found, limit)


def get(request: Request) -> Reply:
    server = the_server(request)
    view = views.detailed(request, server, views.surroundings(request, [server]))
    if request.version >= (2, 71):
        view["server_groups"] = _groups(request, server)
    return Reply(200, {"server": view})


def update(request: Request) -> Reply:
    server, body = the_server(request), request.body["server"]
    if "pinned_availability_zone" in body:
        _check_pin(request, server, body["pinned_availability_zone"])
    words = {
        "name": "name",
        "description": "description",
        "accessIPv4": "access_ip_v4",
        "accessIPv6": "access_ip_v6",
        "hostname": "hostname",
        "pinned_availability_zone": "availability_zone",
    }
    changes: dict[str, Any] = {column: body[name] for name, column in words.items() if name in body}
    if "name" in changes:
        changes["name"] = changes["name"].strip()
    if "OS-DCF:diskConfig" in body:
        changes["auto_disk_config"] = body["OS-DCF:diskConfig"] == "AUTO"
    return Reply(200, {"server": changed_view(request, logic.update(request.cloud, request.ctx, server, changes))})


def delete(request: Request) -> Reply:
    soft_delete.delete_for_now(request.cloud, request.ctx, request.params["server_id"])
    return Reply(204)


def changed_view(request: Request, server: Server) -> dict[str, Any]:
    """A server in the answer to a change of it."""
    view = views.detailed(request, server, views.surroundings(request, [server]))
    if request.version < (2, 75):
        view = _short(view)
    if request.version >= (2, 71):
        view["server_groups"] = _groups(request, server)
    return view


def _groups(request: Request, server: Server) -> list[str]:
    return [] if server.group_id is None else [groups.get(request.cloud.db, request.ctx, server.group_id).id]


def _short(view: dict[str, Any]) -> dict[str, Any]:
    """Until 2.74 the answer to an update leaves out what extensions brought."""
    left_out = ("OS-EXT-", "OS-SRV-USG", "os-extended", "security_groups", "config_drive", "key_name", "host_status")
    addresses = {
        network: [{name: each[name] for name in ("version", "addr")} for each in listed]
        for network, listed in view.get("addresses", {}).items()
    }
    found = {name: value for name, value in view.items() if not name.startswith(left_out)}
    return {**found, "addresses": addresses} if "addresses" in found else found


def _check_pin(request: Request, server: Server, zone: str | None) -> None:
    """A server can be bound to the zone that it is in, and let go of; Conflict for anything else."""
    if zone is None or zone == server.availability_zone:
        return
    if server.availability_zone is not None:
        raise Conflict(
            "Cannot change pinned availability zone directly. Unpin first by setting pinned_availability_zone to null."
        )
    current = hosts.zone_of(request.cloud.db, server.host)
    if zone != current:
        raise Conflict(
            f"Server can only be pinned to its current availability zone '{current}', but '{zone}' was requested."
        )


def _listed(request: Request, body: dict[str, Any], found: list[Server], limit: int) -> Reply:
    links = next_links(request, found, limit, found[-1].id if found else "")
    if links:
        body["servers_links"] = links
    return Reply(200, body)


def _found(request: Request, what: str) -> tuple[list[Server], int, bool]:
    """A page of servers, its limit, and whether the filters can match nothing."""
    criteria = _criteria(request, what)
    limit = page_limit(request)
    if criteria is None or limit == 0:
        return [], limit, True
    criteria.limit = limit
    return logic.find_all(request.cloud, request.ctx, criteria, request.query.get("marker")), limit, False


def _criteria(request: Request, what: str) -> Criteria | None:
    """The query as criteria; None where nothing can match."""
    query = _allowed(request)
    for name in query:
        if name in _FORBIDDEN or name.startswith("_"):
            raise Invalid(f"Invalid filter field: {name}.")
    criteria = Criteria(order=_order(request))
    if required_flag(request, "all_tenants"):
        request.require(f"{_RULE}:{what}:get_all_tenants")
        criteria.everywhere = True
        project = query.get("tenant_id", query.get("project_id"))
        if project is not None:
            criteria.equal["project_id"] = project
    if "config_drive" in query and query["config_drive"].lower() not in BOOLEANS:
        return None
    _plain_filters(query, criteria)
    if "locked" in query and request.version >= (2, 73):
        criteria.locked = required_flag(request, "locked")
    criteria.changed_since = moment(request, "changes-since")
    criteria.changed_before = moment(request, "changes-before") if request.version >= (2, 66) else None
    _deleted_filter(query, criteria)
    if not _status_filter(request, criteria) or not _related_filters(request, query, criteria):
        return None
    _expression_filters(request, query, criteria)
    return criteria


def _allowed(request: Request) -> dict[str, str]:
    """Others than administrators search by some words only; the rest is passed over."""
    if request.allows(f"{_RULE}:allow_all_filters"):
        return request.query
    allowed = set(_FOR_ALL)
    if request.version >= (2, 26):
        allowed |= {"tags", "tags-any", "not-tags", "not-tags-any"}
    if request.version >= (2, 73):
        allowed.add("locked")
    if request.version >= (2, 83):
        allowed |= set(_SINCE_83)
    return {name: value for name, value in request.query.items() if name in allowed}


def _plain_filters(query: dict[str, str], criteria: Criteria) -> None:
    for name, column in _EQUAL.items():
        if name in query:
            criteria.equal[column] = _value(name, query[name])
    for name, column in _LIKE.items():
        if name in query and patterns.search(query[name]) is None:
            criteria.like[column] = patterns.like(query[name])
    if "flavor" in query:
        criteria.flavor_id = query["flavor"]
    if "config_drive" in query:
        criteria.equal["config_drive"] = as_boolean(query["config_drive"])
    for name in ("tags", "tags-any", "not-tags", "not-tags-any"):
        if name in query:
            setattr(criteria, name.replace("-", "_"), query[name].split(","))


def _value(name: str, text: str) -> Any:
    if name in _NUMBERS:
        return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1  # which no row has
    return None if name == "task_state" and text == "" else text


def _deleted_filter(query: dict[str, str], criteria: Criteria) -> None:
    since, before = criteria.changed_since, criteria.changed_before
    if since is not None and before is not None and before < since:
        raise Invalid("The value of changes-since must be less than or equal to changes-before.")
    criteria.soft_deleted = as_boolean(query.get("soft_deleted", False))
    if "deleted" in query:
        criteria.deleted = as_boolean(query["deleted"])
    elif criteria.changed_since is not None or criteria.changed_before is not None:
        criteria.deleted = None


def _status_filter(request: Request, criteria: Criteria) -> bool:
    """Limit by status; False where no server can have it."""
    statuses = [value for name, value in request.query_pairs if name == "status"]
    if not statuses:
        return True
    vm_states: set[str] = set()
    tasks: set[str] | None = set()
    for status in statuses:
        states, with_tasks = logic.states_of(status)
        vm_states |= set(states)
        if states and tasks is not None:
            tasks = None if with_tasks is None else tasks | set(with_tasks)
    if not vm_states:
        if request.version >= (2, 38):
            raise Invalid("Invalid status value")
        return False
    if vm_states == {"deleted"}:
        if not request.ctx.is_admin:
            raise Forbidden("Only administrators may list deleted instances")
        criteria.deleted = True
    criteria.among["vm_state"] = sorted(vm_states)
    if tasks:
        criteria.among["task_state"] = sorted(tasks)
    return True


def _related_filters(request: Request, query: dict[str, str], criteria: Criteria) -> bool:
    """Limit by addresses, which network knows; False where no server has one."""
    wanted = [(query[name], version) for name, version in (("ip", 4), ("ip6", 6)) if name in query]
    if not wanted:
        return True
    everywhere = Criteria(everywhere=criteria.everywhere)
    ids = [server.id for server in logic.find_all(request.cloud, request.ctx, everywhere, None)]
    ports = request.cloud.contracts.use(NetworkContract).ports_of(request.cloud.db, ids)
    for text, version in wanted:
        plain = text.strip("^$").replace(".*", "")
        ids = [
            server_id
            for server_id in ids
            if any(
                plain in address.address
                for port in ports.get(server_id, [])
                for address in port.addresses
                if address.subnet.version == version
            )
        ]
    criteria.ids = ids
    return bool(ids)


def _expression_filters(request: Request, query: dict[str, str], criteria: Criteria) -> None:
    """Limit by regular expressions that the database is not asked to search for."""
    wanted = {name: test for name in _LIKE if name in query and (test := patterns.search(query[name])) is not None}
    if not wanted:
        return
    candidates = Criteria(everywhere=criteria.everywhere, deleted=criteria.deleted, ids=criteria.ids)
    criteria.ids = [
        server.id
        for server in logic.find_all(request.cloud, request.ctx, candidates, None)
        if all(test(_text(server, name)) for name, test in wanted.items())
    ]


def _text(server: Server, name: str) -> str:
    """What a pattern is searched for in."""
    if name == "key_name":
        return str((server.keypair or {}).get("name", ""))
    return str(getattr(server, _LIKE[name]) or "")


def _order(request: Request) -> list[tuple[str, bool]]:
    keys = [value for name, value in request.query_pairs if name == "sort_key"]
    directions = [value for name, value in request.query_pairs if name == "sort_dir"]
    if any(direction not in ("asc", "desc") for direction in directions):
        raise Invalid("Invalid input received: Unknown sort direction, must be 'desc' or 'asc'", code="InvalidInput")
    order: list[tuple[str, bool]] = []
    for index, key in enumerate(keys):
        if key not in schemas.SORTABLE:
            continue
        if key in ("host", "node") and not request.ctx.is_admin:
            raise Forbidden(f"Only administrators can sort servers by {key}")
        direction = directions[index] if index < len(directions) else (directions[0] if directions else "desc")
        column = {"kernel_id": "id", "ramdisk_id": "id"}.get(key, _COLUMNS.get(key, key))
        if column not in dict(order):
            order.append((column, direction == "asc"))
    return order


ROUTES = (
    Route("GET", "/servers", find_all, f"{_RULE}:index", query=schemas.LIST),
    Route("POST", "/servers", create, f"{_RULE}:create", body=schemas.CREATE),
    Route("GET", "/servers/detail", find_all_detailed, f"{_RULE}:detail", query=schemas.LIST),
    Route("GET", "/servers/{server_id}", get, f"{_RULE}:show", query=schemas.SHOW, target=server_target),
    Route("PUT", "/servers/{server_id}", update, f"{_RULE}:update", body=schemas.UPDATE, target=server_target),
    Route("DELETE", "/servers/{server_id}", delete, f"{_RULE}:delete", target=server_target),
)
