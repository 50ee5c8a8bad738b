# SPDX-License-Identifier: Apache-2.0
"""Where the versions of a container's objects lie: in a container of the store's own, which it names."""

from __future__ import annotations

from cumulet.services.object_store.api import metadata
from cumulet.services.object_store.api.message import text, unquoted
from cumulet.services.object_store.engine.base import Engine
from cumulet.services.object_store.types.indexes import Info, Key

ENABLED, CONTAINER = "x-container-sysmeta-versions-enabled", "x-container-sysmeta-versions-container"


def named(info: Info | None) -> str:
    """The name, as bytes; "" for a container that never had versions."""
    return unquoted(metadata.value(info, CONTAINER)).partition("/")[0]


async def of(engine: Engine, info: Info | None) -> Info | None:
    """As it is now."""
    home = named(info)
    if info is None or not home:
        return None
    found = await engine.info(Key(info.key.account, text(home)), newest=True)
    return found if found is not None and found.exists else None
