# SPDX-License-Identifier: Apache-2.0
"""`/` and `/v3`: which versions there are."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.identity.api.views import BASE

VERSION = "v3.14"
UPDATED = "2020-04-07T00:00:00Z"  # the date that Keystone gives for this version
MEDIA_TYPE = "application/vnd.openstack.identity-v3+json"


def find_all(request: Request) -> Reply:
    location = f"{request.root_url}{BASE}/"
    return Reply(300, {"versions": {"values": [_view(request)]}}, {"Location": location})


def get(request: Request) -> Reply:
    return Reply(200, {"version": _view(request)})


def _view(request: Request) -> dict[str, Any]:
    return {
        "id": VERSION,
        "status": "stable",
        "updated": UPDATED,
        "links": [{"rel": "self", "href": f"{request.root_url}{BASE}/"}],
        "media-types": [{"base": "application/json", "type": MEDIA_TYPE}],
    }


ROUTES = (Route("GET", "/", get, PUBLIC),)
UNVERSIONED = (Route("GET", "/", find_all, PUBLIC),)
