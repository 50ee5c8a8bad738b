# SPDX-License-Identifier: Apache-2.0
"""`/` and `/v3`: which versions there are, and as JSON Home what each of them has."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.identity.api import json_home
from cumulet.services.identity.api.views import BASE

VERSION = "v3.14"
UPDATED = "2020-04-07T00:00:00Z"  # the date that Keystone gives for this version
MEDIA_TYPE = "application/vnd.openstack.identity-v3+json"


def find_all(request: Request) -> Reply:
    if _is_home_wanted(request):
        return _home(request, BASE)
    location = f"{request.root_url}{BASE}/"
    return Reply(300, {"versions": {"values": [_view(request)]}}, {"Location": location})


def get(request: Request) -> Reply:
    if _is_home_wanted(request):
        return _home(request)
    return Reply(200, {"version": _view(request)})


def _is_home_wanted(request: Request) -> bool:
    return json_home.is_asked_for(request.headers.get("accept", ""))


def _home(request: Request, base: str = "") -> Reply:
    return Reply(200, json_home.document(request.api.routes, base), media_type=json_home.MEDIA_TYPE)


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
