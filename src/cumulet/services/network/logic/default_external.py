# SPDX-License-Identifier: Apache-2.0
"""The external network that routers lead through where nobody names one: there is one at most."""

from __future__ import annotations

from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common
from cumulet.services.network.types import Network


def find(source: Source) -> Network | None:
    """The default external network."""
    found = common.find_all(source, Network, external=[True], is_default=[True])
    return found[0] if found else None


def check_only(tx: Tx, key: str) -> None:
    """Refuse (DefaultExternalNetworkExists) where the default is another network than `key`; held till the commit."""
    tx.lock("network:default-external")
    found = find(tx)
    if found is not None and found.id != key:
        raise fault("DefaultExternalNetworkExists", id=found.id)
