# SPDX-License-Identifier: Apache-2.0
"""Periodic work of the identity service."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.periodic import Periodic
from cumulet.services.identity.logic import directory_mirror, federated_users, revocations

PRUNE = 600.0  # seconds between two clearings of revocations
LOOK = 30.0  # seconds between two looks at who is to be looked up in a directory again
LAPSE = 60.0  # seconds that a membership may be remembered after its end


def prune_revocations(cloud: Cloud) -> None:
    """Forget the revocations that no token can match which is still good for anything."""
    lifetime = cloud.settings.identity.token_lifetime + cloud.settings.identity.allow_expired_window
    cloud.db.write(lambda tx: revocations.forget_old(tx, lifetime))


def end_memberships(cloud: Cloud) -> None:
    """Take people out of the groups that an identity provider put them into for a while."""
    if federated_users.lapsed(cloud.db):
        cloud.db.write(federated_users.end_memberships)


def refresh_directories(cloud: Cloud) -> None:
    """Look up in their directories who uses the cloud; nothing else of this kind waits for it."""
    cloud.keep(directory_mirror.Refresher).start(cloud)


LOOPS = (
    Periodic("identity.revocations", PRUNE, prune_revocations),
    Periodic("identity.memberships", LAPSE, end_memberships),
    Periodic("identity.directories", LOOK, refresh_directories),
)
