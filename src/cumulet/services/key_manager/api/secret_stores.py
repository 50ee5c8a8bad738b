# SPDX-License-Identifier: Apache-2.0
"""`/v1/secret-stores`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.key_manager.api import targets
from cumulet.services.key_manager.api.common import ref
from cumulet.services.key_manager.logic import stores
from cumulet.services.key_manager.logic.stores import SecretStore


def find_all(request: Request) -> Reply:
    return Reply(200, {"secret_stores": [_view(request, one) for one in stores.find_all()]})


def get_default(request: Request) -> Reply:
    return Reply(200, _view(request, stores.OWN))


def get_preferred(request: Request) -> Reply:
    return Reply(200, _view(request, stores.preferred(request.cloud, request.ctx)))


def get(request: Request) -> Reply:
    return Reply(200, _view(request, stores.get(request.params["store_id"])))


def prefer(request: Request) -> Reply:
    stores.prefer(request.cloud, request.ctx, request.params["store_id"])
    return Reply(204)


def forget(request: Request) -> Reply:
    stores.forget(request.cloud, request.ctx, request.params["store_id"])
    return Reply(204)


def _view(request: Request, store: SecretStore) -> dict[str, Any]:
    return {
        "status": "ACTIVE",
        "created": store.since.isoformat(),
        "updated": store.since.isoformat(),
        "name": store.name,
        "secret_store_plugin": store.store_plugin,
        "crypto_plugin": store.crypto_plugin,
        "global_default": store == stores.OWN,
        "secret_store_ref": ref(request, "secret-stores", store.id),
    }


_ALL = "/secret-stores"
_ONE = f"{_ALL}/{{store_id}}"

ROUTES = (
    Route("GET", _ALL, find_all, "secretstores:get", target=targets.anything),
    Route(
        "GET", "/secret-stores/global-default", get_default, "secretstores:get_global_default", target=targets.anything
    ),
    Route("GET", "/secret-stores/preferred", get_preferred, "secretstores:get_preferred", target=targets.anything),
    Route("GET", _ONE, get, "secretstore:get", target=targets.anything),
    Route("POST", f"{_ONE}/preferred", prefer, "secretstore_preferred:post", target=targets.anything),
    Route("DELETE", f"{_ONE}/preferred", forget, "secretstore_preferred:delete", target=targets.anything),
)
