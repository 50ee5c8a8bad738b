# SPDX-License-Identifier: Apache-2.0
"""The password that a guest made up for its administrator and posted, encrypted, to the metadata service."""

from __future__ import annotations

from cumulet.kernel.db import Source, Tx
from cumulet.services.compute.store import passwords as store
from cumulet.services.compute.types import Server, ServerPassword


def get(source: Source, server: Server) -> str:
    """As it was posted; "" where there is none."""
    found = store.find(source, server.id)
    return found.password if found is not None else ""


def keep(tx: Tx, server: Server, password: str) -> bool:
    """Keep what the guest has posted; False, and nothing done, where it has posted one before."""
    if store.find(tx, server.id) is not None:
        return False
    store.add(tx, ServerPassword(server.id, password))
    return True


def clear(tx: Tx, server: Server) -> None:
    """Forget it, so that the guest may post another."""
    store.remove(tx, server.id)
