# SPDX-License-Identifier: Apache-2.0
"""Headers that are kept: of accounts and containers, which change them one by one, and of objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from cumulet.services.object_store.api.message import Headers, Request
from cumulet.services.object_store.api.site import Options
from cumulet.services.object_store.types.indexes import Info
from cumulet.services.object_store.types.objects import Version

CONTAINER = ("x-container-read", "x-container-write", "x-container-sync-key", "x-container-sync-to")
OBJECT = (
    "content-disposition",
    "content-encoding",
    "x-object-manifest",
    "cache-control",
    "content-language",
    "expires",
    "x-robots-tag",
)
MANIFEST = "x-static-large-object"

IndexKind = Literal["account", "container"]


def asked(request: Request, kind: IndexKind) -> Headers:
    """What the request sets, "" for what it takes away."""
    named = CONTAINER if kind == "container" else ()
    meta, sysmeta, remove = f"x-{kind}-meta-", f"x-{kind}-sysmeta-", f"x-remove-{kind}-meta-"
    removed = {f"x-remove-{each.removeprefix('x-')}" for each in named}
    found: Headers = {}
    for name in request.headers:
        if name.startswith(remove) or name in removed:
            found[name.replace("-remove", "", 1)] = ""
    for name, value in request.headers.items():
        if name in named or (name.startswith((meta, sysmeta)) and name not in (meta, sysmeta)):
            found[name] = value
    return found


def shown(info: Info) -> Headers:
    """What is set."""
    return {name: value for name, (value, _) in info.state.metadata.items() if value}


def value(info: Info | None, header: str) -> str:
    """A header of an account or a container; "" where it is not set."""
    return info.state.metadata.get(header, ("", 0))[0] if info is not None and info.exists else ""


def for_caller(headers: Headers, request: Request, options: Options) -> Headers:
    """Without what is for the owner of the account alone, if the caller is not."""
    if not request.owner:
        for name in options.owner_headers:
            headers.pop(name, None)
    return headers


def of_object(headers: Mapping[str, str]) -> Headers:
    """What a PUT or a POST gives to an object and a later POST replaces."""
    return {
        name: value
        for name, value in headers.items()
        if name in OBJECT or name.startswith(("x-object-meta-", "x-object-transient-sysmeta-"))
    }


def system(headers: Mapping[str, str]) -> Headers:
    """What a PUT gives to an object for good."""
    return {name: value for name, value in headers.items() if name == MANIFEST or name.startswith("x-object-sysmeta-")}


def of_version(version: Version) -> Headers:
    """All headers of an object."""
    found = {**version.system, **version.metadata}
    if version.delete_at:
        found["x-delete-at"] = str(version.delete_at)
    return found
