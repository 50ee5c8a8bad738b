# SPDX-License-Identifier: Apache-2.0
"""Whether every payload opens and belongs to somebody, and nothing is promised that is not there."""

from __future__ import annotations

from collections.abc import Iterator

from cumulet.kernel.audit import Finding, Look
from cumulet.kernel.errors import CumuletError
from cumulet.services.key_manager.logic import keys
from cumulet.services.key_manager.store import acls, containers, orders, secrets
from cumulet.services.key_manager.store import keys as sealed

BATCH = 200  # payloads opened at a time


def audit(look: Look) -> Iterator[Finding]:
    """Every disagreement."""
    db = look.cloud.db
    pending = set(orders.pending(db))
    with_payload = secrets.all_ids(db)
    seen: set[str] = set()
    yield from _keys(look)
    for owner_id, trouble in _payloads(look):
        seen.add(owner_id)
        if trouble:
            yield look.found(owner_id, trouble)
        if not with_payload.get(owner_id) and owner_id not in pending:
            yield look.found(owner_id, "a payload belongs to nobody")
    for secret_id, promised in with_payload.items():
        if promised and secret_id not in seen:
            yield look.found(secret_id, "secret has lost its payload")
    for order_id in pending - look.busy:
        yield look.found(order_id, "order is pending, and nobody carries it out")
    for owner_id in set(acls.owners(db)) - with_payload.keys() - containers.all_ids(db):
        yield look.found(owner_id, "an access list belongs to nobody")


def _keys(look: Look) -> Iterator[Finding]:
    for key in sealed.find_all(look.cloud.db):
        try:
            keys.ring(look.cloud).check(key.id)
        except CumuletError as error:
            yield look.found(key.id, error.message)


def _payloads(look: Look) -> Iterator[tuple[str, str]]:
    """Each payload's owner, and why it does not open, if it does not."""
    last = ""
    while batch := sealed.payloads(look.cloud.db, last, BATCH):
        for payload in batch:
            try:
                keys.ring(look.cloud).open(payload)
                yield payload.id, ""
            except CumuletError as error:
                yield payload.id, error.message
        last = batch[-1].id
