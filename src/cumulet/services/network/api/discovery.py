# SPDX-License-Identifier: Apache-2.0
"""What the service is: versions, extensions, zones, providers, and how full networks are."""

from __future__ import annotations

from collections.abc import Mapping

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE, PUBLIC

CORE = {"network": "networks", "subnet": "subnets", "port": "ports"}


def versions(request: Request) -> Reply:
    links = [{"rel": "self", "href": f"{request.root_url}/v2.0/"}]
    return Reply(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]})


def version(request: Request) -> Reply:
    found = [
        {"name": name, "collection": many, "links": [{"rel": "self", "href": f"{request.root_url}/v2.0/{many}"}]}
        for name, many in CORE.items()
    ]
    return Reply(200, {"resources": found})


class Extensions:
    """The extensions that the service announces."""

    def __init__(self, announced: Mapping[str, tuple[str, str]]) -> None:
        """`announced` maps an alias to the extension's name and date."""
        self._shown = {
            alias: {"alias": alias, "name": name, "description": name + ".", "updated": updated, "links": []}
            for alias, (name, updated) in announced.items()
        }

    def routes(self) -> tuple[Route, ...]:
        """The list and one of it."""
        return (
            Route("GET", "/extensions", self.find_all, ANYONE),
            Route("GET", "/extensions/{alias}", self.show, ANYONE),
        )

    def find_all(self, request: Request) -> Reply:
        return Reply(200, {"extensions": list(self._shown.values())})

    def show(self, request: Request) -> Reply:
        alias = request.params["alias"]
        if alias not in self._shown:
            raise NotFound(f"Extension with alias {alias} does not exist")
        return Reply(200, {"extension": self._shown[alias]})


UNVERSIONED = (Route("GET", "/", versions, PUBLIC),)
ROUTES = (Route("GET", "/", version, PUBLIC),)
