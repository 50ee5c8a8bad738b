# SPDX-License-Identifier: Apache-2.0
"""`/` and `/v1`: the versions of the API, for whoever asks."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.kernel.http.microversions import text
from cumulet.services.key_manager.api.common import BASE
from cumulet.services.key_manager.api.dialect import MICROVERSIONS, media_type

DOCUMENTATION = "https://docs.openstack.org/"
JSON_HOME = "application/json-home"
BUILD = "23.0.0"  # the version of Barbican in OpenStack 2026.2
MEDIA_TYPE = "application/vnd.openstack.key-manager-v1+json"


def find_all(request: Request) -> Reply:
    if media_type(request.headers.get("accept", "")) == JSON_HOME:
        return Reply(302, None, {"Location": f"{request.root_url}{BASE}/"})
    if "build" in request.query:
        return Reply(200, {"build": BUILD})
    one = _view(request)
    return Reply(300, {"versions": {"values": [one]} if request.version == MICROVERSIONS.least else [one]})


def get(request: Request) -> Reply:
    return Reply(200, {"version": _view(request)})


def _view(request: Request) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": "v1",
        "links": [
            {"rel": "self", "href": f"{request.root_url}{BASE}/"},
            {"rel": "describedby", "type": "text/html", "href": DOCUMENTATION},
        ],
    }
    if request.version == MICROVERSIONS.least:
        return {**view, "status": "stable", "media-types": [{"base": "application/json", "type": MEDIA_TYPE}]}
    bounds = {"min_version": text(MICROVERSIONS.least), "max_version": text(MICROVERSIONS.most)}
    return {**view, "status": "CURRENT", **bounds}


ROUTES = (Route("GET", "/", get, PUBLIC),)
UNVERSIONED = (Route("GET", "/", find_all, PUBLIC),)
