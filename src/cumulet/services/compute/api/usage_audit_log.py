# SPDX-License-Identifier: Apache-2.0
"""`/os-instance_usage_audit_log`: which hosts told of their servers' use, by calendar month; no host here has to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.compute.api import fields
from cumulet.services.compute.logic import hosts, usage

_RULE = "os_compute_api:os-instance-usage-audit-log"
_PATH = "/os-instance_usage_audit_log"
_NOTHING = fields.query({}, closed_since=(2, 102))


def find_latest(request: Request) -> Reply:
    return Reply(200, {"instance_usage_audit_logs": _log(request, clock.utcnow())})


def find_before(request: Request) -> Reply:
    text = request.params["before"]
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S"
    try:
        before = datetime.strptime(text, form)
    except ValueError as error:
        raise Invalid(f"Invalid timestamp for date {text}") from error
    return Reply(200, {"instance_usage_audit_log": _log(request, before)})


def _log(request: Request, before: datetime) -> dict[str, Any]:
    begin, end = usage.last_month(before)
    names = [host.name for host in hosts.find_all(request.cloud.db)]
    return {
        "period_beginning": str(begin),
        "period_ending": str(end),
        "num_hosts": len(names),
        "num_hosts_done": 0,
        "num_hosts_running": 0,
        "num_hosts_not_run": len(names),
        "hosts_not_run": names,
        "total_instances": 0,
        "total_errors": 0,
        "overall_status": f"{f'0 of {len(names)}' if names else 'ALL'} hosts done. 0 errors.",
        "log": {},
    }


ROUTES = (
    Route("GET", _PATH, find_latest, f"{_RULE}:list", query=_NOTHING),
    Route("GET", _PATH + "/{before}", find_before, f"{_RULE}:show", query=_NOTHING),
)
