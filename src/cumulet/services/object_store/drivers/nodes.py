# SPDX-License-Identifier: Apache-2.0
"""Devices as rings name them, opened."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from cumulet.services.object_store.drivers.base import ObjectDevice
from cumulet.services.object_store.drivers.index_base import IndexDevice

Where: TypeAlias = tuple[str, int, str]
"""What names a device in every ring: address, port and folder."""


class Node(msgspec.Struct, frozen=True, eq=False, kw_only=True, weakref=True):
    """An opened device. `local`: of this process, and so the first to be read from; `near`: of this host, the next."""

    objects: ObjectDevice
    indexes: IndexDevice
    local: bool = True
    near: bool = True
