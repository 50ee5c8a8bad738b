# SPDX-License-Identifier: Apache-2.0
"""`/` and `/v3`: which versions there are."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.microversions import text
from cumulet.kernel.http.routes import PUBLIC
from cumulet.services.block_storage.api.dialect import MICROVERSIONS

UPDATED = "2023-08-31T00:00:00Z"


def find_all(request: Request) -> Reply:
    return Reply(300, {"versions": [_version(request)]})


def get(request: Request) -> Reply:
    return Reply(200, {"versions": [_version(request)]})


def _version(request: Request) -> dict[str, Any]:
    return {
        "id": "v3.0",
        "status": "CURRENT",
        "version": text(MICROVERSIONS.most),
        "min_version": text(MICROVERSIONS.least),
        "updated": UPDATED,
        "links": [
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
            {"rel": "self", "href": f"{request.root_url}/v3/"},
        ],
        "media-types": [
            {"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"},
        ],
    }


UNVERSIONED = (Route("GET", "/", find_all, PUBLIC), Route("GET", "/v3", get, PUBLIC))
