# SPDX-License-Identifier: Apache-2.0
"""`/v3/domains/{domain_id}/config`, parts of it, and its defaults."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.logic import directory_mirror
from cumulet.services.identity.logic import domain_configs as logic

_CONFIG = Schema({"type": "object", "properties": {"config": {"type": "object"}}})


def get(request: Request) -> Reply:
    return _shown(logic.get(request.cloud.db, *_place(request)))


def compliance(request: Request) -> Reply:
    found = logic.compliance(request.cloud, request.params["domain_id"], request.params.get("option"))
    return _shown(found)


def defaults(request: Request) -> Reply:
    return _shown(logic.defaults(request.params.get("group"), request.params.get("option")))


def create(request: Request) -> Reply:
    domain_id = request.params["domain_id"]
    config, new = logic.create(request.cloud, domain_id, request.body.get("config"))
    directory_mirror.settle(request.cloud, domain_id)
    return _shown(config, 201 if new else 200)


def update(request: Request) -> Reply:
    domain_id, section, name = _place(request)
    config = logic.update(request.cloud, domain_id, request.body.get("config"), section, name)
    directory_mirror.settle(request.cloud, domain_id)
    return _shown(config)


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, *_place(request))
    directory_mirror.settle(request.cloud, request.params["domain_id"])
    return Reply(204)


def _place(request: Request) -> tuple[str, str | None, str | None]:
    """The domain, and the section and option that the path names."""
    return request.params["domain_id"], request.params.get("group"), request.params.get("option")


def _shown(config: dict[str, Any], status: int = 200) -> Reply:
    return Reply(status, {"config": config})


_ALL = "/domains/{domain_id}/config"
_PARTS = (_ALL, _ALL + "/{group}", _ALL + "/{group}/{option}")
_COMPLIANCE = _ALL + "/security_compliance"
_OPEN = "identity:get_security_compliance_domain_config"

ROUTES = (
    *(
        Route("GET", path, defaults, "identity:get_domain_config_default")
        for path in (
            "/domains/config/default",
            "/domains/config/{group}/default",
            "/domains/config/{group}/{option}/default",
        )
    ),
    *(Route("GET", path, compliance, _OPEN) for path in (_COMPLIANCE, _COMPLIANCE + "/{option}")),
    Route("PUT", _ALL, create, "identity:create_domain_config", body=_CONFIG),
    *(Route("GET", path, get, "identity:get_domain_config") for path in _PARTS),
    *(Route("PATCH", path, update, "identity:update_domain_config", body=_CONFIG) for path in _PARTS),
    *(Route("DELETE", path, delete, "identity:delete_domain_config") for path in _PARTS),
)
