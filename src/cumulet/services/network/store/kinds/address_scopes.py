# SPDX-License-Identifier: Apache-2.0
"""Address scopes."""

from __future__ import annotations

from functools import partial

from cumulet.services.network import tables
from cumulet.services.network.store.kinds.base import Kind, own_or_shared
from cumulet.services.network.types import AddressScope

KINDS = (
    Kind(
        AddressScope,
        tables.address_scope,
        "AddressScopeNotFound",
        seen=partial(own_or_shared, tables.address_scope),
    ),
)
