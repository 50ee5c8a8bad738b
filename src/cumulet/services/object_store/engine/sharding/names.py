# SPDX-License-Identifier: Apache-2.0
"""What shards are called, and how a shard says whose it is: as in Swift."""

from __future__ import annotations

from hashlib import md5
from urllib.parse import quote, unquote

from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import SHARD_ROOTS, Info, Key, ShardRange

PREFIX = ".shards_"
SENT = "x-container-sync-to"
ENABLED = "x-container-sysmeta-sharding"
"""The header of a root by which it is sharded when it has grown, whatever the settings say."""

_QUOTED, _PLAIN = SHARD_ROOTS


def is_shard(key: Key) -> bool:
    return key.account.startswith(PREFIX)


def name_of(root: Key, parent: Key, stamp: int, index: int) -> str:
    """`.shards_ACCOUNT/ROOT-HASH-STAMP-INDEX`; the hash is that of the container that is split."""
    digest = md5(parent.container.encode(), usedforsecurity=False).hexdigest()
    return f"{PREFIX}{root.account}/{root.container}-{digest}-{stamps.normal(stamp)}-{index}"


def key_of(name: str) -> Key:
    """The index of the shard whose range is called `name`."""
    account, _, container = name.partition("/")
    return Key(account, container)


def shard_of(row: ShardRange) -> Key:
    return key_of(row.name)


def metadata_of(root: Key) -> dict[str, str]:
    """What a shard is made with."""
    return {_QUOTED: quote("/".join(root))}


def root_of(info: Info) -> Key | None:
    """Whose shard it is; None for what is none."""
    said = {name.lower(): value for name, (value, _) in info.state.metadata.items()}
    name = unquote(said.get(_QUOTED, "")) or said.get(_PLAIN, "")
    return key_of(name) if name else None
