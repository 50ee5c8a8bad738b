# SPDX-License-Identifier: Apache-2.0
"""Parts of Cinder's API that are not served, and say so with 501."""

from __future__ import annotations

from cumulet.kernel.errors import Unsupported
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.block_storage.api.common import route

_COLLECTIONS = (
    "backups", "cgsnapshots", "clusters", "consistencygroups", "group_snapshots", "group_types", "groups",
    "manageable_snapshots", "manageable_volumes", "os-volume-manage",  "qos-specs",
     "workers",
)  # fmt: skip


def refuse(request: Request) -> Reply:
    raise Unsupported(f"{request.path} is not served.")


ROUTES = tuple(
    route(method, f"/{collection}{rest}", refuse, ANYONE)
    for collection in _COLLECTIONS
    for rest in ("", "/{absent_id}", "/{absent_id}/action")
    for method in ("GET", "POST", "PUT", "DELETE")
)
