# SPDX-License-Identifier: Apache-2.0
"""`/` and `/versions`: which versions there are."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.image.api.views import BASE

# With a cache of images, and without one; those in between belong to clouds whose stores have names.
CACHING = ("2.18", "2.17", "2.16", "2.15", "2.14")
WITHOUT = ("2.17", "2.15")
OTHERS = ("2.13", "2.12", "2.11", "2.10", "2.9", "2.8", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0")


def find_all(request: Request) -> Reply:
    return Reply(300, _document(request))


def get_all(request: Request) -> Reply:
    return Reply(200, _document(request))


def _document(request: Request) -> dict[str, Any]:
    links = [{"rel": "self", "href": f"{request.root_url}{BASE}/"}]
    first, *others = CACHING if request.cloud.settings.image.cache_size else WITHOUT
    named = [(first, "CURRENT"), *((version, "SUPPORTED") for version in (*others, *OTHERS))]
    return {"versions": [{"id": f"v{version}", "status": status, "links": links} for version, status in named]}


UNVERSIONED = (Route("GET", "/", find_all, PUBLIC), Route("GET", "/versions", get_all, PUBLIC))
