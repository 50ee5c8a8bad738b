# SPDX-License-Identifier: Apache-2.0
"""Address groups."""

from __future__ import annotations

from functools import partial

from cumulet.services.network import tables
from cumulet.services.network.store.kinds.base import Kind, own_or_shared
from cumulet.services.network.types.address_groups import AddressGroup

KINDS = (
    Kind(
        AddressGroup,
        tables.address_group,
        "AddressGroupNotFound",
        seen=partial(own_or_shared, tables.address_group),
    ),
)
