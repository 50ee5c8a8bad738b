# SPDX-License-Identifier: Apache-2.0
"""`/`, `/v2` and `/v2.1`: which versions there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.kernel.http.microversions import text
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.compute.api.dialect import MICROVERSIONS

_DOCUMENTATION = {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"}
_MEDIA = "application/vnd.openstack.compute+json;version="
# By path; the older one has no microversions.
_VERSIONS = {
    "v2": {"id": "v2.0", "status": "DEPRECATED", "version": "", "min_version": "", "updated": "2025-07-04T12:00:00Z"},
    "v2.1": {
        "id": "v2.1",
        "status": "CURRENT",
        "version": text(MICROVERSIONS.most),
        "min_version": text(MICROVERSIONS.least),
        "updated": "2013-07-23T11:33:21Z",
    },
}
_PATHS = {"v2.0": "v2", "v2.1": "v2.1"}


def find_all(request: Request) -> Reply:
    versions = [{**words, "links": [_self(request, path)]} for path, words in _VERSIONS.items()]
    return Reply(200, {"versions": versions})


def _one(path: str) -> Callable[[Request], Reply]:
    def get(request: Request) -> Reply:
        media = {"base": "application/json", "type": _MEDIA + path.removeprefix("v")}
        links = [_self(request, path), _DOCUMENTATION]
        return Reply(200, {"version": {**_VERSIONS[path], "links": links, "media-types": [media]}})

    return get


def get_by_id(request: Request) -> Reply:
    """The same by the older path."""
    path = _PATHS.get(request.params["version_id"])
    if path is None:
        raise NotFound("The resource could not be found.")
    reply = _one(path)(request)
    reply.body["version"]["links"][0] = _self(request, "v2.1")  # of whichever version, as Nova has it
    return reply


def _self(request: Request, path: str) -> dict[str, Any]:
    return {"rel": "self", "href": f"{request.root_url}/{path}/"}


UNVERSIONED = (
    Route("GET", "/", find_all, PUBLIC),
    *(Route("GET", f"/{path}", _one(path), PUBLIC) for path in _VERSIONS),
)

ROUTES = (Route("GET", "/versions/{version_id}", get_by_id, ANYONE),)
