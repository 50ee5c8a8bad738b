# SPDX-License-Identifier: Apache-2.0
"""Periodic work of the key manager; loaded at each start, so it loads no more itself until it works."""

from __future__ import annotations

from datetime import timedelta

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.periodic import Periodic

CLEAN = 600.0  # seconds between two cleanings


def clean(cloud: Cloud) -> None:
    """Remove what nobody can reach any more, and the keys that nothing has needed for long."""
    from cumulet.services.key_manager.logic import cleaning, keys

    cleaning.forget_projects(cloud)
    cleaning.purge(cloud.db, clock.utcnow() - timedelta(seconds=cloud.settings.key_manager.purge_expired_after))
    keys.ring(cloud).prune()


LOOPS = (Periodic("key_manager.clean", CLEAN, clean),)
