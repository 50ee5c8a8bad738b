# SPDX-License-Identifier: Apache-2.0
"""Requests that a token is limited to: what OpenStack calls the access rules of an application credential."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

import msgspec

_WILD = re.compile(r"{[^}]*}|\*\*|\*")


class Allowance(msgspec.Struct, frozen=True):
    """One kind of request: a service type, a method, and a path with `{name}` or `*` for a segment, `**` for many."""

    service: str
    method: str
    path: str


def allows(allowances: Iterable[Allowance], services: Collection[str], method: str, paths: Iterable[str]) -> bool:
    """Whether one of `allowances` is for this request of a service that is known by any of `services`.

    `paths` are the ways to write the request's path: with and without the service's place on a shared port.
    """
    written = list(paths)
    return any(
        one.method == method
        and one.service in services
        and any(_pattern(one.path).fullmatch(path) is not None for path in written)
        for one in allowances
    )


@lru_cache(maxsize=1024)
def _pattern(path: str) -> re.Pattern[str]:
    found, at = "", 0
    for wild in _WILD.finditer(path):
        found += re.escape(path[at : wild.start()]) + (".*" if wild[0] == "**" else "[^/]+")
        at = wild.end()
    return re.compile(found + re.escape(path[at:]), re.DOTALL)
