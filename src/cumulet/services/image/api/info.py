# SPDX-License-Identifier: Apache-2.0
"""`/v2/info`: what this cloud offers of what Glance may offer."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import ANYONE, Reply, Request, Route
from cumulet.services.image.logic import imports, quotas, stores
from cumulet.services.image.logic.stores import Store


def get_import(request: Request) -> Reply:
    methods = {"description": "Import methods available.", "type": "array", "value": imports.methods(request.cloud)}
    return Reply(200, {"import-methods": methods})


def get_stores(request: Request) -> Reply:
    return Reply(200, {"stores": [_store(each) for each in stores.find_all(request.cloud)]})


def get_stores_detail(request: Request) -> Reply:
    return Reply(200, {"stores": [_store_detail(each) for each in stores.find_all(request.cloud)]})


def get_usage(request: Request) -> Reply:
    """What the caller's project takes up and may; nothing where projects have no limits of their own."""
    found = quotas.report(request.cloud, request.ctx)
    return Reply(200, {"usage": {name: each._asdict() for name, each in found.items()}})


def _store(store: Store) -> dict[str, Any]:
    view = {"id": store.id}
    if store.description:
        view["description"] = store.description
    if store.default:
        view["default"] = "true"
    if store.read_only:
        view["read-only"] = "true"
    return view


def _store_detail(store: Store) -> dict[str, Any]:
    return {**_store(store), "type": store.type, "weight": store.weight, "properties": store.properties}


ROUTES = (
    Route("GET", "/info/import", get_import, ANYONE),
    Route("GET", "/info/stores", get_stores, ANYONE),
    Route("GET", "/info/stores/detail", get_stores_detail, "stores_info_detail"),
    Route("GET", "/info/usage", get_usage, ANYONE),
)
