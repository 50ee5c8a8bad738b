# SPDX-License-Identifier: Apache-2.0
"""`/v2/images/{id}/actions`"""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import targets
from cumulet.services.image.logic import actions


def deactivate(request: Request) -> Reply:
    actions.deactivate(request.cloud, request.ctx, request.params["image_id"])
    return Reply(204)


def reactivate(request: Request) -> Reply:
    actions.reactivate(request.cloud, request.ctx, request.params["image_id"])
    return Reply(204)


ROUTES = (
    Route("POST", "/images/{image_id}/actions/deactivate", deactivate, "deactivate", target=targets.image),
    Route("POST", "/images/{image_id}/actions/reactivate", reactivate, "reactivate", target=targets.image),
)
