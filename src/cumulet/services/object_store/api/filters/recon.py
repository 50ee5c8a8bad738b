# SPDX-License-Identifier: Apache-2.0
"""`/recon/...`: what monitoring asks for; `/endpoints/...`: on which devices something lies.

Neither asks who comes, as in Swift, where servers of devices and inner proxies alone have them. Here they are on the
port of all, so only this machine is answered, and the networks of `allow`; never who comes by a proxy. For others, and
for whoever signs a request and so means a bucket, these are paths like any other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from cumulet.kernel.errors import Invalid, NotAllowed
from cumulet.services.object_store.api import answers
from cumulet.services.object_store.api.message import NOTHING, Go, Request, Response, text
from cumulet.services.object_store.api.site import Site, words
from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.logic.recon import Recon as Looks
from cumulet.services.object_store.types.indexes import Key

_JSON = "application/json"
_OF_PROXIES = ("x-forwarded-for", "forwarded", "x-real-ip")
_VERSIONS = (1.0, 2.0)


class Neighbours:
    """Who may ask: this machine, and `allow`, networks as `10.1.0.0/16`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._networks = [ipaddress.ip_network(each) for each in words(options.get("allow", ()))]

    def may(self, request: Request) -> bool:
        query, headers = request.query, request.headers
        if "authorization" in headers or "X-Amz-Signature" in query or "Signature" in query:
            return False
        if any(name in headers for name in _OF_PROXIES):
            return False
        try:
            client = ipaddress.ip_address(request.client)
        except ValueError:
            return False
        client = getattr(client, "ipv4_mapped", None) or client
        return client.is_loopback or any(client in each for each in self._networks)


class Recon:
    info = NOTHING

    def __init__(self, site: Site) -> None:
        self._looks, self._neighbours = site.looks, Neighbours(site.options.of("recon"))

    async def __call__(self, request: Request, go: Go) -> Response:
        looks = self._looks
        asked = request.path.startswith("/recon/") and request.method in ("GET", "HEAD")
        if not asked or looks is None or not self._neighbours.may(request):
            return await go(request)
        _, _, what, *more = request.path.split("/", 3)
        try:
            found = await looks.tell(what, more[0] if more else None)
        except LookupError:
            return Response(404, {"content-type": answers.PLAIN}, f"Invalid path: {quote(request.path)}".encode())
        return Response(200, {"content-type": _JSON}, orjson.dumps(found))


class ListEndpoints:
    info = NOTHING

    def __init__(self, site: Site) -> None:
        options = site.options.of("list_endpoints")
        self._site, self._looks, self._neighbours = site, site.looks, Neighbours(options)
        self._path = f"/{str(options.get('list_endpoints_path', '/endpoints/')).strip('/')}/"

    async def __call__(self, request: Request, go: Go) -> Response:
        looks = self._looks
        if looks is None or not request.path.startswith(self._path) or not self._neighbours.may(request):
            return await go(request)
        if request.method != "GET":
            raise NotAllowed("", headers={"Allow": "GET"})
        version, names = self._asked(request)
        endpoints, policy = await self._found(looks, names)
        if version == 1.0:
            return Response(200, {"content-type": _JSON}, orjson.dumps(endpoints))
        headers = {} if policy is None else {"X-Backend-Storage-Policy-Index": str(policy)}
        return Response(200, {"content-type": _JSON}, orjson.dumps({"endpoints": endpoints, "headers": headers}))

    def _asked(self, request: Request) -> tuple[float, list[str]]:
        """The version, and the names of account, container and object, as many as are given."""
        rest = request.path.removeprefix(self._path)
        said, _, behind = rest.partition("/")
        try:
            version = float(said.lstrip("v"))
            if version not in _VERSIONS:
                raise ValueError(said)
        except ValueError:
            if said.startswith("v") and "_" not in said:
                raise Invalid(f"Unsupported version {said!r}") from None
            version, behind = 1.0, rest
        parts = behind.split("/", 2)
        while len(parts) > 1 and not parts[-1]:
            parts.pop()
        if not all(parts):
            raise Invalid("No account specified")
        try:
            return version, [text(each) for each in parts]
        except UnicodeError:
            raise Invalid("No account specified") from None

    async def _found(self, looks: Looks, names: list[str]) -> tuple[list[str], int | None]:
        policy, places = None, looks.places
        if len(names) == 3:
            info = await self._site.engine.info(Key(names[0], names[1]))
            policy = info.policy if info is not None else 0
            spot = places.object(Name(names[0], names[1], names[2], policy))[1]
        else:
            spot = places.index(Key(*names))
        path = quote("/".join(names))
        nodes = spot.ring.nodes(spot.part)
        return [f"http://{each.ip}:{each.port}/{each.device}/{spot.part}/{path}" for each in nodes], policy
