# SPDX-License-Identifier: Apache-2.0
"""What changes to all resources here have in common: fixed ids, free attributes, options and the lock among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.errors import Conflict, CumuletError, Forbidden, Invalid
from cumulet.services.identity.types import DEFAULT_DOMAIN

IMMUTABLE = "immutable"


def check_same(words: Mapping[str, Any], name: str, value: Any, refusal: str) -> None:
    """Refuse a body that gives another value than the one that cannot change."""
    if name in words and words[name] != value:
        raise Invalid(refusal)


def check_changeable(kind: str, resource_id: str, options: Mapping[str, Any], words: Mapping[str, Any]) -> None:
    """An immutable resource can only be made mutable, in a change of nothing else."""
    unlocked = words.get("options", {}).get(IMMUTABLE, True) in (False, None)
    if options.get(IMMUTABLE) and not (unlocked and set(words) == {"options"}):
        raise _locked("update", kind, resource_id)


def check_deletable(kind: str, resource_id: str, options: Mapping[str, Any]) -> None:
    """An immutable resource stays."""
    if options.get(IMMUTABLE):
        raise _locked("delete", kind, resource_id)


def merge_options(options: Mapping[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """The options after a change; an option set to null is taken away."""
    merged = {**options, **words.get("options", {})}
    return {name: value for name, value in merged.items() if value is not None}


def extras(words: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """What the caller said beside the known fields: kept and shown as it is."""
    known = {*fields, "id", "links", "options"}
    return {name: value for name, value in words.items() if name not in known}


def home(ctx: Context, words: Mapping[str, Any]) -> str:
    """The domain of a new resource: the one said, else the token's, else the default one."""
    return words.get("domain_id") or ctx.domain_id or DEFAULT_DOMAIN


def taken(kind: str, name: str, domain_id: str | None = None) -> CumuletError:
    """The conflict of a name that is there already."""
    place = f" at domain ID {domain_id}" if domain_id else ""
    return Conflict(f"Conflict occurred attempting to store {kind} - Duplicate entry found with name {name}{place}.")


def _locked(verb: str, kind: str, resource_id: str) -> CumuletError:
    return Forbidden(
        f'Unable to {verb} immutable {kind} resource: `{resource_id}. Set resource option "immutable" to false first.'
    )
