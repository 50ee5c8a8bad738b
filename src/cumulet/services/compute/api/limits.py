# SPDX-License-Identifier: Apache-2.0
"""`/limits`"""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.compute.api import fields
from cumulet.services.compute.logic import quotas as logic
from cumulet.services.network.contract import NetworkContract

_QUERY = fields.query({"tenant_id": fields.many({"type": "string"})}, closed_since=(2, 75))
_MOST = {
    "maxTotalInstances": "instances",
    "maxTotalCores": "cores",
    "maxTotalRAMSize": "ram",
    "maxServerMeta": "metadata_items",
    "maxTotalKeypairs": "key_pairs",
    "maxServerGroups": "server_groups",
    "maxServerGroupMembers": "server_group_members",
}
_FILES = {"maxPersonality": "injected_files", "maxPersonalitySize": "injected_file_content_bytes"}
_USED = {
    "totalInstancesUsed": "instances",
    "totalCoresUsed": "cores",
    "totalRAMUsed": "ram",
    "totalServerGroupsUsed": "server_groups",
}


def get(request: Request) -> Reply:
    project_id = request.ctx.project_id or ""
    if "tenant_id" in request.query:
        project_id = request.query["tenant_id"]
        request.require("os_compute_api:limits:other_project")
    limits, used = logic.in_force(request.cloud, project_id), logic.in_use(request.cloud, project_id)
    absolute = {shown: limits[name] for shown, name in _MOST.items()}
    absolute |= {shown: used[name] for shown, name in _USED.items()}
    if request.version < (2, 57):
        absolute |= {shown: limits[name] for shown, name in _FILES.items()}
    if request.version < (2, 39):
        absolute["maxImageMeta"] = limits["metadata_items"]
    if request.version < (2, 36):
        absolute |= _of_network(request, project_id)
    return Reply(200, {"limits": {"rate": [], "absolute": absolute}})


def _of_network(request: Request, project_id: str) -> dict[str, int]:
    usage = request.cloud.contracts.use(NetworkContract).usage(request.cloud.db, project_id)
    return {
        "maxTotalFloatingIps": -1,
        "maxSecurityGroups": -1,
        "maxSecurityGroupRules": -1,
        "totalFloatingIpsUsed": usage.floating_ips_used,
        "totalSecurityGroupsUsed": usage.security_groups_used,
    }


ROUTES = (Route("GET", "/limits", get, "os_compute_api:limits", query=_QUERY),)
