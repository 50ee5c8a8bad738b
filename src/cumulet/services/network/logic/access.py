# SPDX-License-Identifier: Apache-2.0
"""Finding what a caller may see: what is not visible does not exist."""

from __future__ import annotations

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common, kinds, visibility
from cumulet.services.network.store.kinds import Row


def sees_all(ctx: Context) -> bool:
    """Whether the caller sees every project's resources: the administrator and other services."""
    return ctx.is_admin or bool(ctx.roles & {"service", "advsvc"})


def get(source: Source, ctx: Context, kind: type[Row], key: str) -> Row:
    """The row, where the caller may see it; the kind's own NotFound else."""
    found = find(source, ctx, kind, key)
    if found is None:
        raise fault(kinds.of(kind).missing, id=key)
    return found


def find(source: Source, ctx: Context, kind: type[Row], key: str) -> Row | None:
    """The row, where the caller may see it."""
    found = visibility.find_visible(source, ctx, kind, sees_all(ctx), id=[key])
    return found[0] if found else None


def must(source: Source, kind: type[Row], key: str) -> Row:
    """The row, whoever asks; the kind's own NotFound where there is none."""
    found = common.find(source, kind, key)
    if found is None:
        raise fault(kinds.of(kind).missing, id=key)
    return found
