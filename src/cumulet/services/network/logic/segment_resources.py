# SPDX-License-Identifier: Apache-2.0
"""What can be done with segments one by one: networks grow and shrink by them."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access, segments
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common
from cumulet.services.network.store import segments as store
from cumulet.services.network.types import Network, Subnet
from cumulet.services.network.types.segments import Segment


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> Segment:
    """One more segment of a network; with the number that is asked for, or one that any project may have."""
    network = access.must(tx, Network, values["network_id"])
    carrier = segments.reserve(cloud, tx, values)
    there = store.of_networks(tx, [network.id]).get(network.id, [])
    kinds = [*(each.network_type for each in there), carrier.kind]
    segments.mtu(cloud, kinds, network.mtu)
    (row,) = segments.rows(network.id, [carrier], clock.utcnow())
    position = there[-1].position + 1 if there else 0
    made = msgspec.structs.replace(row, position=position, name=values.get("name"), description=values["description"])
    common.add(tx, made)
    segments.settle(cloud, tx, network.id)
    return made


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> Segment:
    """Change what the segment is called."""
    common.change(tx, Segment, key, {name: values[name] for name in ("name", "description") if name in values})
    return access.must(tx, Segment, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a segment that no subnet is on."""
    tx.lock(segments.LOCK)
    segment = access.must(tx, Segment, key)
    subnets = [subnet.id for subnet in common.find_all(tx, Subnet, segment_id=[key])]
    if subnets:
        reason = "The segment is still associated with subnet(s) " + ", ".join(subnets)
        raise fault("SegmentInUse", id=key, reason=reason)
    common.remove(tx, Segment, [key])
    segments.settle(cloud, tx, segment.network_id)
