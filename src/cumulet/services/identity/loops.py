# SPDX-License-Identifier: Apache-2.0
"""Periodic work of the identity service."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.periodic import Periodic
from cumulet.services.identity.logic import revocations

PRUNE = 600.0  # seconds between two clearings of revocations


def prune_revocations(cloud: Cloud) -> None:
    """Forget the revocations that no living token can match."""
    lifetime = cloud.settings.identity.token_lifetime
    cloud.db.write(lambda tx: revocations.forget_old(tx, lifetime))


LOOPS = (Periodic("identity.revocations", PRUNE, prune_revocations),)
