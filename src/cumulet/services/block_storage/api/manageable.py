# SPDX-License-Identifier: Apache-2.0
"""`/manageable_volumes`, `/manageable_snapshots`, and as they were called before, `/os-volume-manage` and
`/os-snapshot-manage`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.paging import whole_number
from cumulet.services.block_storage.api import common, views
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.logic import backends, volume_types
from cumulet.services.block_storage.logic import manageable as logic
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.types import Snapshot, Volume

SINCE = (3, 8)
CLUSTER_OF_NEW = (3, 16)
CLUSTER_OF_LIST = (3, 17)
_KEYS, _WAYS = ("reference", "size"), ("asc", "desc")

_HOST = {"type": ["string", "null"], "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9-._#@:/+\[\]]*$"}
_VOLUME = common.wrapped(
    "volume",
    {
        "type": "object",
        "properties": {
            "description": common.DESCRIPTION,
            "availability_zone": common.TEXT_OR_NULL,
            "bootable": common.BOOLEAN,
            "volume_type": common.TEXT_OR_NULL,
            "name": common.TEXT_OR_NULL,
            "host": _HOST,
            "cluster": {**common.TEXT_OR_NULL, "since": CLUSTER_OF_NEW},
            "ref": {"type": ["object", "string"]},
            "metadata": common.METADATA_OR_NULL,
        },
        "required": ["ref"],
        "additionalProperties": False,
    },
)
_SNAPSHOT = common.wrapped(
    "snapshot",
    {
        "type": "object",
        "properties": {
            "description": common.DESCRIPTION,
            "metadata": common.METADATA_OR_NULL,
            "name": common.TEXT_OR_NULL,
            "volume_id": common.UUID,
            "ref": {"type": ["object", "null", "string"]},
        },
        "required": ["ref", "volume_id"],
        "additionalProperties": False,
    },
)


def manage(request: Request) -> Reply:
    body = request.body["volume"]
    place = place_of(request, body, CLUSTER_OF_NEW)
    new = logic.NewManaged(
        host=place,
        reference=body["ref"],
        name=common.clean(body.get("name")) or None,
        description=common.clean(body.get("description")) or None,
        volume_type=body.get("volume_type"),
        availability_zone=body.get("availability_zone"),
        metadata=body.get("metadata") or {},
        bootable=common.truth(body.get("bootable", False), "bootable"),
    )

    def write(tx: Tx) -> Volume:
        try:
            return logic.manage(request.cloud, tx, request.ctx, new)
        except NotFound as error:
            if error.code != "ServiceNotFound":
                raise
            raise Invalid(f"Host '{place}' not found", code="ServiceUnavailable") from error

    volume = request.cloud.db.write(write)
    return Reply(202, {"volume": views.legacy(request, volume, volume_types.names(request.cloud.db))})


def manage_snapshot(request: Request) -> Reply:
    body = request.body["snapshot"]

    def write(tx: Tx) -> Snapshot:
        return logic.manage_snapshot(
            request.cloud, tx, request.ctx, body["volume_id"], body["ref"], body.get("name"), body.get("description"),
            body.get("metadata") or {},
        )  # fmt: skip

    made = request.cloud.db.write(write)
    return Reply(202, {"snapshot": views.snapshot(request, made, more=False)})


def place_of(request: Request, said: Any, clusters_since: tuple[int, int]) -> str:
    """The host that is named, or else a cluster, of which there are none."""
    cluster = said.get("cluster") if request.version >= clusters_since else None
    if bool(cluster) == bool(said.get("host")):
        known = request.version >= clusters_since
        raise invalid_input("One and only one of cluster and host must be set." if known else "Host field is missing.")
    if cluster:
        raise NotFound("Service cinder-volume could not be found.", code="ServiceNotFound")
    return str(said["host"])


def _lister(kind: str, *, detailed: bool) -> Callable[[Request], Reply]:
    def find_all(request: Request) -> Reply:
        place = place_of(request, request.query, CLUSTER_OF_LIST)
        order = _order(request)
        backend = backends.get(request.cloud.db, place)
        entries = [_view(kind, one) for one in logic.find_all(request.cloud, backend, kind)]
        for key, descending in reversed(order):
            entries.sort(key=_SORTING[key], reverse=descending)
        page = _page(request, entries)
        if not detailed:
            page = [{key: value for key, value in one.items() if key not in _DETAILS} for one in page]
        return Reply(200, {f"manageable-{kind}s": page})

    return find_all


_DETAILS = frozenset({"reason_not_safe", "cinder_id", "extra_info"})
_SORTING: dict[str, Callable[[dict[str, Any]], Any]] = {
    "reference": lambda one: one["reference"]["source-name"],
    "size": lambda one: one["size"],
}


def _view(kind: str, one: logic.Found) -> dict[str, Any]:
    view: dict[str, Any] = {
        "reference": {"source-name": one.name},
        "size": one.size,
        "safe_to_manage": one.reason is None,
        "reason_not_safe": one.reason,
        "cinder_id": one.id,
        "extra_info": None,
    }
    if kind == "snapshot":
        view["source_reference"] = {"source-name": logic.volume_name(one.source)} if one.source else None
    return view


def _order(request: Request) -> list[tuple[str, bool]]:
    """Keys, and whether each descends; by the reference where nothing is said."""
    query = request.query
    if "sort" in query and ("sort_key" in query or "sort_dir" in query):
        raise Invalid(
            "The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with the 'sort' parameter."
        )
    if "sort" in query:
        pairs = [one.strip().partition(":")[::2] for one in query["sort"].split(",")]
    else:
        pairs = [(query.get("sort_key", "reference").strip(), query.get("sort_dir", "desc").strip())]
    keys = [key for key, _ in pairs if key not in _KEYS]
    if keys:
        raise Invalid(f"Invalid sort keys passed: {', '.join(keys)}", code="InvalidParameterValue")
    ways = [way for _, way in pairs if way and way not in _WAYS]
    if ways:
        raise Invalid(f"Invalid sort dirs passed: {', '.join(ways)}", code="InvalidParameterValue")
    return [(key, way != "asc") for key, way in pairs]


def _page(request: Request, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    limit, offset = whole_number(request, "limit"), whole_number(request, "offset") or 0
    if offset > common.INT_MAX:
        raise invalid_input("offset is out of range")
    start, marker = 0, request.query.get("marker")
    if marker:
        start = 1 + _position(entries, marker)
    most = common.MOST if limit is None else min(limit, common.MOST)
    return entries[start + offset : start + offset + most]


def _position(entries: list[dict[str, Any]], marker: str) -> int:
    try:
        reference = json.loads(marker)
    except (ValueError, RecursionError) as error:
        raise invalid_input(f"marker {marker} can not be analysed, please use json like format") from error
    for position, entry in enumerate(entries):
        if entry["reference"] == reference:
            return position
    raise invalid_input(f"marker not found: {reference}")


def _routes(kind: str, path: str, create: Any, rules: str, body: Any, **more: Any) -> tuple[Route, ...]:
    listing = f"{rules}:list_manageable"
    return (
        route("GET", path, _lister(kind, detailed=False), listing, **more),
        route("GET", f"{path}/detail", _lister(kind, detailed=True), listing, **more),
        route("POST", path, create, f"{rules}:{kind}_manage", body=body, **more),
    )


ROUTES = (
    *_routes("volume", "/manageable_volumes", manage, "volume_extension", _VOLUME, since=SINCE),
    *_routes("volume", "/os-volume-manage", manage, "volume_extension", _VOLUME),
    *_routes("snapshot", "/manageable_snapshots", manage_snapshot, "snapshot_extension", _SNAPSHOT, since=SINCE),
    *_routes("snapshot", "/os-snapshot-manage", manage_snapshot, "snapshot_extension", _SNAPSHOT),
)
