# SPDX-License-Identifier: Apache-2.0
"""On which hosts routers are."""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.kernel.db import Source
from cumulet.services.network.store import ha as store
from cumulet.services.network.types import Router


def hosts_of(source: Source, routers: Iterable[Router]) -> set[str]:
    """The hosts that have any of the routers, whether it forwards there or stands by."""
    listed = list(routers)
    shared = [router.id for router in listed if router.is_shared]
    found = {router.host for router in listed}
    if shared:
        found |= {place.host for places in store.places(source, shared).values() for place in places}
    for router in listed:
        if router.distributed:
            found |= store.hosts_of_ports(source, router.id)
    return found - {""}
