# SPDX-License-Identifier: Apache-2.0
"""One cloud as the driver sees it: a token, the catalogue's endpoints, and requests to them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from bench.logins import Login, check_loopback

FINE = (200, 201, 202, 204)
ABSENT = (404, 405, 501, 503)  # what a service's own list answers where there is no such service
MICROVERSION = {"placement": {"OpenStack-API-Version": "placement 1.36"}}
IDLE = 2.0  # seconds that a connection is kept for: less than servers do, so that none is closed under a request
_VERSION = re.compile(r"/v\d")


@dataclass(frozen=True)
class Kind:
    """A service: its types in the catalogue (the official one first), its version where the catalogue's URL has none,
    and a list of things that is there wherever the service is.
    """

    types: tuple[str, ...]
    version: str
    first: str


KINDS = {
    "identity": Kind(("identity",), "/v3", "/auth/catalog"),
    "image": Kind(("image",), "/v2", "/images?limit=1"),
    "placement": Kind(("placement",), "", "/resource_classes"),
    "network": Kind(("network",), "/v2.0", "/networks?limit=1"),
    "volume": Kind(("block-storage", "volumev3", "block-store", "volume"), "", "/volumes?limit=1"),
    "compute": Kind(("compute",), "", "/servers?limit=1"),
}


class Refused(Exception):
    """Another status than was hoped for; the message names the request and quotes the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotServed(Exception):
    """The cloud does not have the service, or what is asked of it; the message says how that shows."""


class Client:
    """Requests to one cloud; use as an asynchronous context manager, which logs in."""

    def __init__(self, login: Login, timeout: float = 60.0) -> None:
        """`timeout` is in seconds, for one request."""
        self.login = login
        self.token = ""
        self.user_id = self.project_id = ""
        self._timeout = timeout
        self._endpoints: dict[str, str] = {}

    async def __aenter__(self) -> Client:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
        )
        try:
            await self.authenticate()
        except BaseException:
            await self._http.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def authenticate(self) -> None:
        """Take a new token and the catalogue that comes with it. Raises Refused and NotLoopback."""
        url = f"{self.login.url}/auth/tokens"
        async with self._http.post(url, json=self.login.request, allow_redirects=False) as answer:
            body = await answer.read()
            if answer.status != 201:
                raise Refused(answer.status, f"logging in: {answer.status} {body[:200]!r}")
            self.token = answer.headers["X-Subject-Token"]
        token = orjson.loads(body)["token"]
        self.user_id, self.project_id = token["user"]["id"], token["project"]["id"]
        self._endpoints = dict(self._read_catalogue(token.get("catalog", [])))

    def endpoint(self, service: str) -> str:
        """Where the catalogue says that `service` (a name of KINDS) is. Raises NotServed."""
        if service not in self._endpoints:
            raise NotServed(f"{service} is not in the catalogue")
        return self._endpoints[service]

    async def probe(self, service: str) -> None:
        """Ask `service` for its first list; raises NotServed where it is not there, Refused where it does not work."""
        path = KINDS[service].first
        try:
            await self.send("GET", service, path)
        except Refused as error:
            if error.status not in ABSENT:
                raise
            raise NotServed(f"{service}: GET {path} answers {error.status}") from error
        except aiohttp.ClientError as error:
            raise NotServed(f"{service}: {error!r}") from error

    async def send(
        self,
        method: str,
        service: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        fine: Collection[int] = FINE,
    ) -> bytes:
        """The bytes of the answer; `body` is sent as JSON, bytes as they are. Raises Refused for any other status."""
        url = self.endpoint(service) + path
        words = {"X-Auth-Token": self.token, **MICROVERSION.get(service, {}), **(headers or {})}
        data = body
        if isinstance(body, bytes):
            words["Content-Type"] = "application/octet-stream"
        elif body is not None:
            words["Content-Type"] = "application/json"
            data = orjson.dumps(body)
        async with self._http.request(method, url, headers=words, data=data, allow_redirects=False) as answer:
            content = await answer.read()
            if answer.status not in fine:
                raise Refused(answer.status, f"{method} {service} {path}: {answer.status} {content[:200]!r}")
            return content

    async def ask(
        self, method: str, service: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> Any:
        """As `send`, with the answer parsed; None for an empty one."""
        content = await self.send(method, service, path, body, headers=headers)
        return orjson.loads(content) if content else None

    def _read_catalogue(self, catalogue: list[dict[str, Any]]) -> list[tuple[str, str]]:
        urls = {
            service["type"]: endpoint["url"].rstrip("/")
            for service in catalogue
            for endpoint in service["endpoints"]
            if endpoint["interface"] == self.login.interface
            and self.login.region in (None, endpoint.get("region_id"), endpoint.get("region"))
        }
        found = []
        for name, kind in KINDS.items():
            url = next((urls[each] for each in kind.types if each in urls), None)
            if url is not None:
                check_loopback(url)
                found.append((name, url if _VERSION.search(url) else url + kind.version))
        return found
