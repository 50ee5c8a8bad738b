# SPDX-License-Identifier: Apache-2.0
"""Names that the operator does not want."""

from __future__ import annotations

import re

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.api.message import Go, Request, Response, wire
from cumulet.services.object_store.api.site import Site

CHARACTERS = "'\"`<>"
LONGEST = 255  # bytes of a path
FORBIDDEN = r"/\./|/\.\./|/\.$|/\.\.$"


class NameCheck:
    def __init__(self, site: Site) -> None:
        options = site.options.of("name_check")
        self._characters: str = options.get("forbidden_chars", CHARACTERS)
        self._longest = int(options.get("maximum_length", LONGEST))
        self._said: str = options.get("forbidden_regexp", FORBIDDEN)
        self._forbidden = re.compile(wire(self._said)) if self._said else None
        self._wire = wire(self._characters)
        self.info = {
            "name_check": {
                "forbidden_chars": self._characters,
                "maximum_length": self._longest,
                "forbidden_regexp": self._said,
            }
        }

    async def __call__(self, request: Request, go: Go) -> Response:
        path, names = request.path, "Object/Container/Account name"
        if any(each in path for each in self._wire):
            raise Invalid(f"{names} contains forbidden chars from {self._characters}")
        if len(path) > self._longest:
            raise Invalid(f"{names} longer than the allowed maximum {self._longest}")
        if self._forbidden is not None and self._forbidden.search(path):
            raise Invalid(f"{names} contains a forbidden substring from regular expression {self._said}")
        return await go(request)
