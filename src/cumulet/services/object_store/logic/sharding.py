# SPDX-License-Identifier: Apache-2.0
"""What an operator asks of a container's shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.object_store.engine.cluster import Cluster
from cumulet.services.object_store.engine.sharding.sharder import Sharder
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Key, RangeState


async def shard(cluster: Cluster, sharder: Sharder, words: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Begin to split it into pieces of `rows` objects (0: `size`), and what `show` tells of it.

    NotFound, Conflict where it is sharded or has no more than a piece, Unavailable.
    """
    rows = words.get("rows") or size
    if not isinstance(rows, int) or rows < 1:
        raise Invalid("A shard has at least one object.")
    await sharder.shard(_key(words), rows)
    cluster.asker.start(sharder.run())
    return await show(cluster, words)


async def show(cluster: Cluster, words: Mapping[str, Any]) -> dict[str, Any]:
    """NotFound where there is no such container; Unavailable."""
    key = _key(words)
    info = await cluster.indexes.info(key, newest=True)
    if info is None or not info.exists:
        raise NotFound("There is no such container.")
    ranges = [each for each in await cluster.indexes.shards.merged(key) if not each.deleted]
    ranges.sort(key=lambda each: (each.lower, not each.upper, each.upper, each.name))
    return {
        "account": key.account,
        "container": key.container,
        "state": info.sharding,
        "objects": info.total.objects,
        "bytes": info.total.bytes,
        "ranges": [
            {
                "name": each.name,
                "lower": each.lower,
                "upper": each.upper,
                "objects": each.objects,
                "bytes": each.bytes,
                "state": RangeState(each.state).name.lower(),
                "since": stamps.normal(each.state_stamp),
            }
            for each in ranges
        ],
    }


def _key(words: Mapping[str, Any]) -> Key:
    account, container = words.get("account"), words.get("container")
    if not (isinstance(account, str) and isinstance(container, str) and account and container):
        raise Invalid("An account and a container are needed.")
    return Key(account, container)
