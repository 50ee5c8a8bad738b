# SPDX-License-Identifier: Apache-2.0
"""Hosts of other domains that are aliases (CNAME) of hosts of the store's own."""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.api.filters.domain_remap import listed, split_port
from cumulet.services.object_store.api.message import Go, Request, Response
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import domains

MOST = 10_000  # answers that are remembered
NOTHING_FOR = 60.0  # seconds for which it is remembered that there is no alias


class Lookup(Protocol):
    async def alias(self, host: str) -> tuple[float, str]:
        """What the host is an alias of, "" for nothing, and for how many seconds that holds."""


class NameServers:
    """Asks those of the machine, or those that the settings name (`address` or `address:port`)."""

    def __init__(self, servers: tuple[str, ...]) -> None:
        self._resolver = dns.asyncresolver.Resolver()
        if servers:
            pairs = [split_port(each) for each in servers]
            addresses = [host.strip("[]") for host, _ in pairs]
            for each in addresses:
                ip_address(each)
            self._resolver.nameservers = addresses
            self._resolver.nameserver_ports = {
                address: int(port[1:]) for address, (_, port) in zip(addresses, pairs, strict=True) if port
            }

    async def alias(self, host: str) -> tuple[float, str]:
        try:
            answer = await self._resolver.resolve(host, "CNAME")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return NOTHING_FOR, ""
        except dns.exception.DNSException:
            return 0.0, ""
        return float(answer.rrset.ttl), str(answer[0].target).rstrip(".")  # type: ignore[union-attr]


class CnameLookup:
    """`lookup_depth`: how many aliases are followed. A host that leads nowhere is refused, an address is let pass."""

    def __init__(self, site: Site, lookup: Lookup | None = None) -> None:
        options = site.options.of("cname_lookup")
        self._suffixes = domains.suffixes(listed(options.get("storage_domain", "example.com")))
        self._depth = int(options.get("lookup_depth", 1))
        self._lookup = lookup or NameServers(listed(options.get("nameservers", "")))
        self._known: dict[str, tuple[float, str]] = {}
        self.info = {"cname_lookup": {"lookup_depth": self._depth}}

    async def __call__(self, request: Request, go: Go) -> Response:
        asked = request.headers.get("host", "")
        host, port = split_port(asked)
        if _is_address(host) or self._is_own(host):
            return await go(request)
        found = await self._own(host) + port
        request.headers["host"] = found
        answer = await go(request)
        for name in ("location", "content-location"):
            there = answer.headers.get(name, "")
            scheme, mark, rest = there.partition("://")
            if mark and rest.partition("/")[0] == found:
                answer.headers[name] = scheme + mark + asked + rest[len(found) :]
        return answer

    async def _own(self, host: str) -> str:
        """The host of the store that this one is an alias of."""
        for _ in range(self._depth):
            found = await self._alias(host)
            if not found or found == host:
                raise Invalid("CNAME lookup failed to resolve to a valid domain")
            if self._is_own(found):
                return found
            host = found
        raise Invalid(f"CNAME lookup failed after {self._depth} tries")

    async def _alias(self, host: str) -> str:
        now = time.monotonic()
        until, found = self._known.get(host, (0.0, ""))
        if until > now:
            return found
        seconds, found = await self._lookup.alias(host)
        if len(self._known) >= MOST:
            self._known.clear()
        if seconds > 0:
            self._known[host] = now + seconds, found
        return found

    def _is_own(self, host: str) -> bool:
        return f".{host}".endswith(self._suffixes)


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
