# SPDX-License-Identifier: Apache-2.0
"""The flavor of routers."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.parts.base import Part, columns
from cumulet.services.network.logic import flavors


def _check(tx: Tx, ctx: Context, row: Any, values: dict[str, Any]) -> None:
    flavors.check_router(tx, values["flavor_id"])


ROUTER_FLAVOR = Part(
    attributes={
        "flavor_id": Attribute(
            post=True, default=ABSENT, check=check.or_none(check.text(255)), filters=False, sorts=True
        )
    },
    render=columns("flavor_id"),
    check=_check,
)
