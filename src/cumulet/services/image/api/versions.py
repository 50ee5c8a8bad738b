# SPDX-License-Identifier: Apache-2.0
"""`/` and `/versions`: which versions there are."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.image.api.views import BASE

CURRENT = "2.17"
# Glance without several stores and without a cache: 2.8 and 2.10 to 2.14 belong to those, 2.16 to the cache.
SUPPORTED = ("2.15", "2.9", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0")


def find_all(request: Request) -> Reply:
    return Reply(300, _document(request))


def get_all(request: Request) -> Reply:
    return Reply(200, _document(request))


def _document(request: Request) -> dict[str, Any]:
    links = [{"rel": "self", "href": f"{request.root_url}{BASE}/"}]
    named = [(CURRENT, "CURRENT"), *((version, "SUPPORTED") for version in SUPPORTED)]
    return {"versions": [{"id": f"v{version}", "status": status, "links": links} for version, status in named]}


UNVERSIONED = (Route("GET", "/", find_all, PUBLIC), Route("GET", "/versions", get_all, PUBLIC))
