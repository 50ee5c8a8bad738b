# SPDX-License-Identifier: Apache-2.0
"""Whether routers answer outside for addresses inside."""

from __future__ import annotations

from cumulet.kernel.db import Source
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.parts.base import Part
from cumulet.services.network.logic import ndp_proxies as logic
from cumulet.services.network.types import Router


def _render(source: Source, rows: list[Router]) -> list[Item]:
    return [{"enable_ndp_proxy": logic.is_enabled(row)} for row in rows]


ENABLE_NDP_PROXY = Part(
    attributes={"enable_ndp_proxy": Attribute(post=True, put=True, default=ABSENT, convert=check.boolean)},
    render=_render,
)
