# SPDX-License-Identifier: Apache-2.0
"""What policy rules are judged on: the objects that a path names, under Keystone's names.

What is not there is left out, so that a caller who may not see it is refused and never learns whether it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cumulet.kernel.db import Source
from cumulet.kernel.http import Request
from cumulet.services.identity.store import credentials, groups, projects, roles, users

Target = Mapping[str, Any]

_FINDERS: dict[str, tuple[str, Callable[[Source, str], msgspec.Struct | None]]] = {
    "user_id": ("user", users.find),
    "group_id": ("group", groups.find),
    "project_id": ("project", projects.find),
    "domain_id": ("domain", projects.find),
    "role_id": ("role", roles.find),
    "prior_role_id": ("prior_role", roles.find),
    "implied_role_id": ("implied_role", roles.find),
    "credential_id": ("credential", credentials.find),
}
_SECRET = frozenset({"blob", "hash", "extra"})


def of_path(request: Request) -> Target:
    """The objects that the path's variables name, and the variables themselves."""
    found: dict[str, Any] = {}
    for variable, resource_id in request.params.items():
        if variable in _FINDERS:
            name, find = _FINDERS[variable]
            resource = find(request.cloud.db, resource_id)
            if resource is not None:
                found[name] = shown(resource)
    return {**request.params, "target": found}


def of_body(name: str) -> Callable[[Request], Target]:
    """The new object that the body describes."""

    def target(request: Request) -> Target:
        words = request.body.get(name) if isinstance(request.body, dict) else None
        return {**request.params, "target": {name: words if isinstance(words, dict) else {}}}

    return target


def of_domain_token(*path: str) -> Callable[[Request], Target]:
    """For lists: the domain of a domain's token, under the name `path`; a list is then limited to that domain."""

    def target(request: Request) -> Target:
        if request.ctx.domain_id is None:
            return {"target": {}}
        found: Any = request.ctx.domain_id
        for name in reversed(path):
            found = {name: found}
        return {"target": found}

    return target


def shown(resource: msgspec.Struct) -> dict[str, Any]:
    """The attributes of a resource that rules may speak of."""
    return {name: getattr(resource, name) for name in resource.__struct_fields__ if name not in _SECRET}
