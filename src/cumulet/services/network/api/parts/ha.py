# SPDX-License-Identifier: Apache-2.0
"""Whether a router is on several hosts, and which network a project calls the one of such routers."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.parts.base import Part, columns
from cumulet.services.network.logic import ha


def _claim(tx: Tx, ctx: Context, row: Any, values: dict[str, Any]) -> None:
    if values["ha"]:
        ha.claim_network(tx, ctx, row.id)


def _nothing(source: Source, rows: list[Any]) -> list[Item]:
    return [{} for _ in rows]


_switch = Attribute(post=True, put=True, default=ABSENT, convert=check.boolean_or_none, enforce=True, filters=False)
ROUTER_HA = Part(attributes={"ha": _switch, "distributed": _switch}, render=columns("ha", "distributed"))
HA_NETWORK = Part(
    attributes={"ha": Attribute(post=True, default=False, convert=check.boolean, shown=False, filters=False)},
    render=_nothing,
    write=_claim,
)
