# SPDX-License-Identifier: Apache-2.0
"""The parts of the service, switched on and off, frozen and thawed, and their logs: `/os-services`, `/workers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import NotFound
from cumulet.kernel.formats import FORMATS, Format
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import backends, backup_services, log_levels, services
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.logic.services import BACKUP, VOLUME, Service

CLUSTERS = (3, 7)
CLEANUP = (3, 24)
REPLICATED_CLUSTERS = (3, 26)
LOG_LEVELS = (3, 32)
BACKEND_STATE = (3, 49)
NEITHER = "One and only one of cluster and host must be set."
RESOURCES = ("Snapshot", "Volume")  # what a service that died may have left half done

FORMATS["disabled_reason"] = Format(lambda text: 0 < len(text.strip()) <= 255)
_PLACE = {"type": ["string", "null"], "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9-._#@:/+\[\]]*$"}
_HOSTNAME = {**_PLACE, "pattern": "^[a-zA-Z0-9-._#@:/+]*$"}
_NULLABLE = {"type": ["string", "null"], "minLength": 0, "maxLength": 255}
_KIND = {"type": "string", "minLength": 1, "maxLength": 255}
_REASON = {"type": "string", "minLength": 1, "maxLength": 255, "format": "disabled_reason"}
_LOGGED = {"type": "string", "enum": [*log_levels.BINARIES, "", "*"]}


def _body(properties: dict[str, Any], **others: Any) -> Any:
    return common.schema({"type": "object", "properties": properties, "additionalProperties": False, **others})


_SWITCHED = {"binary": _KIND, "host": _PLACE, "cluster": _NULLABLE, "service": _KIND}
_ONE = {"anyOf": [{"required": ["binary"]}, {"required": ["service"]}]}
_SWITCH = _body(_SWITCHED, **_ONE)
_SWITCH_OFF = _body({**_SWITCHED, "disabled_reason": _REASON}, **_ONE)
_FREEZE = _body({"cluster": _NULLABLE, "host": _PLACE})
_FAIL_OVER = _body({"cluster": _NULLABLE, "host": _PLACE, "backend_id": _NULLABLE})
_SET_LOG = _body({"binary": _LOGGED, "server": _NULLABLE, "prefix": _NULLABLE, "level": {"type": ["string", "null"]}})
_GET_LOG = _body({"binary": _LOGGED, "server": _NULLABLE, "prefix": _NULLABLE})
_CLEAN = _body(
    {
        "cluster_name": _HOSTNAME,
        "disabled": common.BOOLEAN,
        "host": _HOSTNAME,
        "is_up": common.BOOLEAN,
        "binary": {"enum": ["cinder-volume", "cinder-scheduler"]},
        "resource_id": common.UUID_OR_NULL,
        "resource_type": {"type": ["string", "null"], "minLength": 0, "maxLength": 40},
        "service_id": {"type": ["integer", "string", "null"], "pattern": "^[0-9]*$", "maxLength": 11},
    }
)


def find_services(request: Request) -> Reply:
    rows = services.find(request.cloud, request.query.get("host"), request.query.get("binary"))
    return Reply(200, {"services": [_view(request, row) for row in rows]})


def enable(request: Request) -> Reply:
    return _switch(request, enabled=True)


def disable(request: Request) -> Reply:
    return _switch(request, enabled=False)


def disable_with_reason(request: Request) -> Reply:
    reason = request.body.get("disabled_reason")
    answer = _switch(request, enabled=False, reason=reason)
    answer.body["disabled_reason"] = reason
    return answer


def _switch(request: Request, *, enabled: bool, reason: str | None = None) -> Reply:
    said = request.body
    service, binary = said.get("service", ""), said.get("binary", "")
    place = _host(said)
    changes = {VOLUME: backends.enable, BACKUP: backup_services.enable}
    change = changes.get(binary or service)
    if change is None:
        raise NotFound(f"Service {binary or service} could not be found on host {place}.", code="ServiceNotFound")
    request.cloud.db.write(lambda tx: change(tx, place, enabled=enabled, reason=reason))
    answer: dict[str, Any] = {"host": place, "service": service, "binary": binary}
    answer |= {"status": "enabled" if enabled else "disabled", "disabled": not enabled}
    return Reply(200, answer)


def freeze(request: Request) -> Reply:
    return _guard(request, services.freeze)


def thaw(request: Request) -> Reply:
    return _guard(request, services.thaw)


def fail_over(request: Request) -> Reply:
    return _guard(request, services.fail_over)


def _guard(request: Request, act: Callable[[Tx, str], None]) -> Reply:
    place = _host(request.body, clusters=request.version >= REPLICATED_CLUSTERS)
    request.cloud.db.write(lambda tx: act(tx, place))
    return Reply(200)


def set_log(request: Request) -> Reply:
    said = request.body
    level = said.get("level") or ""
    log_levels.change(request.cloud, *_logged(said), level)
    return Reply(202)


def get_log(request: Request) -> Reply:
    return Reply(200, {"log_levels": log_levels.found(request.cloud, *_logged(request.body))})


def clean(request: Request) -> Reply:
    """What a service that died has left half done goes on by itself here, so that there is nothing to wait for."""
    said = request.body or {}
    kind, key = (said.get("resource_type") or "").title(), said.get("resource_id")
    if kind and kind not in RESOURCES:
        raise invalid_input(f"Resource type {kind} not valid, must be {' or '.join(RESOURCES)}")
    if key and not {"service_id", "cluster_name", "host"} & said.keys():
        raise invalid_input(f"('There is no resource with UUID %s pending cleanup.', '{key}')")
    is_up = common.truth(said["is_up"], "is_up") if said.get("is_up") is not None else False
    disabled = common.truth(said["disabled"], "disabled") if said.get("disabled") is not None else None
    number = said.get("service_id")
    meant = [
        each
        for each in services.find(request.cloud, said.get("host"), said.get("binary"))
        if each.is_up is is_up and disabled in (None, each.disabled) and not said.get("cluster_name")
        if number in (None, "") or each.id == int(number)
    ]
    done = [_summary(each) for each in meant if each.is_up]
    return Reply(202, {"cleaning": done, "unavailable": [_summary(each) for each in meant if not each.is_up]})


def _host(said: dict[str, Any], *, clusters: bool = False) -> str:
    """The place that is named; Invalid where none is, or where a cluster is: there are none."""
    place, cluster = said.get("host"), said.get("cluster") if clusters else None
    if bool(place) == bool(cluster):
        raise invalid_input(NEITHER if clusters else "Host field is missing.")
    if cluster:
        raise invalid_input(f"No service found with cluster={cluster}")
    return str(place)


def _logged(said: dict[str, Any]) -> tuple[str, str, str]:
    return said.get("binary") or "", said.get("server") or "", said.get("prefix") or ""


def _summary(one: Service) -> dict[str, Any]:
    return {"id": one.id, "host": one.host, "binary": one.binary, "cluster_name": None}


def _view(request: Request, one: Service) -> dict[str, Any]:
    kept = one.backend
    row: dict[str, Any] = {
        "binary": one.binary,
        "host": one.host,
        "zone": one.zone,
        "status": "disabled" if one.disabled else "enabled",
        "state": "up" if one.is_up else "down",
        "updated_at": moment(one.heard_at),
        "disabled_reason": one.disabled_reason,
    }
    if kept is not None:
        row |= {"replication_status": "disabled", "active_backend_id": None, "frozen": kept.frozen}
        if request.version >= BACKEND_STATE:
            row["backend_state"] = "up"
    if request.version >= CLUSTERS:
        row["cluster"] = None
    return row


_UPDATE = "volume_extension:services:update"
ROUTES = (
    route("GET", "/os-services", find_services, "volume_extension:services:index"),
    route("PUT", "/os-services/enable", enable, _UPDATE, body=_SWITCH),
    route("PUT", "/os-services/disable", disable, _UPDATE, body=_SWITCH),
    route("PUT", "/os-services/disable-log-reason", disable_with_reason, _UPDATE, body=_SWITCH_OFF),
    route("PUT", "/os-services/freeze", freeze, "volume:freeze_host", body=_FREEZE),
    route("PUT", "/os-services/thaw", thaw, "volume:thaw_host", body=_FREEZE),
    route("PUT", "/os-services/failover_host", fail_over, "volume:failover_host", body=_FAIL_OVER),
    route("PUT", "/os-services/failover", fail_over, "volume:failover_host", body=_FAIL_OVER),
    route("PUT", "/os-services/set-log", set_log, _UPDATE, body=_SET_LOG, since=LOG_LEVELS),
    route("PUT", "/os-services/get-log", get_log, _UPDATE, body=_GET_LOG, since=LOG_LEVELS),
    route("POST", "/workers/cleanup", clean, "workers:cleanup", body=_CLEAN, since=CLEANUP),
)
