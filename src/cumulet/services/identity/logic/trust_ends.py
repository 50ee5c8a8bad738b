# SPDX-License-Identifier: Apache-2.0
"""The end of trusts: taken back, or gone with their people or project, and with them all that were made by them."""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.kernel import clock
from cumulet.kernel.db import Tx
from cumulet.services.identity.logic import revocations
from cumulet.services.identity.store import trusts as store
from cumulet.services.identity.store.filters import Filter


def bury(tx: Tx, trust_ids: Iterable[str]) -> list[str]:
    """Delete trusts and those below them, and make their tokens void; returns all their ids."""
    found = list(trust_ids)
    for trust_id in found:
        found.extend(child.id for child in store.children(tx, trust_id) if child.id not in found)
        revocations.revoke(tx, trust_id=trust_id)
    store.bury(tx, found, clock.utcnow())
    return found


def bury_of_user(tx: Tx, user_id: str) -> None:
    """Delete what a user who is going away has given or been given."""
    bury(tx, [trust.id for trust in store.of_user(tx, user_id)])


def bury_of_project(tx: Tx, project_id: str) -> None:
    """Delete the trusts for a project that is going away."""
    bury(tx, [trust.id for trust in store.find_all(tx, [Filter("project_id", project_id)])])
