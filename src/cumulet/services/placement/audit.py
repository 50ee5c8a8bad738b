# SPDX-License-Identifier: Apache-2.0
"""Whether what is held of each provider is there to be held, by somebody."""

from __future__ import annotations

from collections.abc import Iterator

from cumulet.kernel.audit import Finding, Look
from cumulet.services.placement.store import allocations, inventories, providers, usages


def audit(look: Look) -> Iterator[Finding]:
    """Every disagreement."""
    db = look.cloud.db
    for consumer in allocations.idle_consumers(db):
        yield look.found(consumer, "consumer holds nothing")
    known = [provider.uuid for provider in providers.find_all(db)]
    has = {(each.provider_uuid, each.resource_class) for each in inventories.find_all(db, known)}
    for (provider, name), used in usages.of_providers(db, known).items():
        if (provider, name) not in has:
            yield look.found(provider, f"{used} of {name} are held, and the provider has none")
