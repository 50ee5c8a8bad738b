# SPDX-License-Identifier: Apache-2.0
"""Paths of requests to hosts that stand for accounts and containers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cumulet.services.object_store.api.message import Go, Request, Response, quoted
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import domains
from cumulet.services.object_store.logic.domains import Domains

_WHERE = ("location", "content-location")


class DomainRemap:
    """Settings are Swift's; with `mangle_client_paths` a path that begins with the root has it once all the same."""

    def __init__(self, site: Site) -> None:
        options = site.options.of("domain_remap")
        default = options.get("default_reseller_prefix")
        self._domains = Domains(
            suffixes=domains.suffixes(listed(options.get("storage_domain", "example.com"))),
            prefixes=listed(options.get("reseller_prefixes", "AUTH")),
            default_prefix=default or "",
        )
        self._root: str = options.get("path_root", "v1").strip("/")
        self._mangle = bool(options.get("mangle_client_paths", False))
        self.info = {"domain_remap": {"default_reseller_prefix": default}}

    async def __call__(self, request: Request, go: Go) -> Response:
        host, _ = split_port(request.headers.get("host", ""))
        found = domains.names(self._domains, host)
        if found is None:
            return await go(request)
        asked, path = request.path, request.path.removeprefix("/")
        if self._mangle and f"{path}/".startswith(f"{self._root}/"):
            path = path[len(self._root) + 1 :]
        account, container = found
        request.path = "/" + "/".join((self._root, account, *([container] if container else []), path))
        rewritten = re.compile(rf"^(https?://[^/]+){re.escape(quoted(request.path))}(.*)$")
        answer = await go(request)
        for name in _WHERE:
            if name in answer.headers:
                there = answer.headers[name]
                answer.headers[name] = rewritten.sub(lambda match: f"{match[1]}{quoted(asked)}{match[2]}", there)
        return answer


def listed(said: str | Iterable[str]) -> tuple[str, ...]:
    """What a setting lists: a sequence, or words with commas between."""
    return tuple(each.strip() for each in (said.split(",") if isinstance(said, str) else said) if each.strip())


def split_port(host: str) -> tuple[str, str]:
    """A host without its port, and that with its colon."""
    name, colon, port = host.rpartition(":")
    whole = not name or (":" in name and not name.endswith("]"))  # an address of version 6 has colons of its own
    return (host, "") if whole or not port.isdigit() else (name, colon + port)
