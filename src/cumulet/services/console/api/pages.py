# SPDX-License-Identifier: Apache-2.0
"""`/novnc/...` and `/spice/...`: files of the programs that browsers run."""

from __future__ import annotations

from functools import partial

from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.services.console.logic import files

DEEPEST = 5  # folders and a file below a program's own
# Addresses of pages hold tokens, which neither caches nor other sites may learn.
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


def show(program: str, request: Request) -> Reply:
    path = "/".join(request.params[name] for name in _names(len(request.params)))
    data, media_type = files.read(program, path)
    headers = {**_HEADERS} if media_type.startswith("text/html") else {**_HEADERS, "Cache-Control": "max-age=600"}
    return Reply(200, data, headers, media_type=media_type)


def _names(depth: int) -> list[str]:
    return [f"part{number}" for number in range(1, depth + 1)]


def _route(program: str, depth: int) -> Route:
    path = "/".join(f"{{{name}}}" for name in _names(depth))
    return Route("GET", f"/{program}/{path}", partial(show, program), PUBLIC)


ROUTES = tuple(_route(program, depth) for program in files.PROGRAMS for depth in range(1, DEEPEST + 1))
