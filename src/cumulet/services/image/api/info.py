# SPDX-License-Identifier: Apache-2.0
"""`/v2/info`: what this cloud offers of what Glance may offer."""

from __future__ import annotations

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import ANYONE, Reply, Request, Route
from cumulet.services.image.logic.imports import METHODS


def get_import(request: Request) -> Reply:
    methods = {"description": "Import methods available.", "type": "array", "value": list(METHODS)}
    return Reply(200, {"import-methods": methods})


def get_stores(request: Request) -> Reply:
    raise NotFound("Multi backend is not supported at this site.")


def get_usage(request: Request) -> Reply:
    """Glance names usages only where projects have limits of their own."""
    return Reply(200, {"usage": {}})


ROUTES = (
    Route("GET", "/info/import", get_import, ANYONE),
    Route("GET", "/info/stores", get_stores, ANYONE),
    Route("GET", "/info/stores/detail", get_stores, "stores_info_detail"),
    Route("GET", "/info/usage", get_usage, ANYONE),
)
