# SPDX-License-Identifier: Apache-2.0
"""What `cumulet key-manager` does: new keys for all secrets, the end of the old ones and of secrets that expired."""

from __future__ import annotations

import argparse
from datetime import timedelta

from cumulet.kernel import clock
from cumulet.kernel.db import Database
from cumulet.kernel.vault import Vault
from cumulet.services.key_manager.logic import cleaning
from cumulet.services.key_manager.logic.keys import Keyring
from cumulet.settings import Settings

MOST_DAYS = 36_500


def arguments(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The actions and their own arguments."""
    actions.add_parser("rotate", help="give every project a new key and seal all secrets under it; the cloud may run")
    actions.add_parser("prune", help="forget the keys that nothing has needed for an hour")
    purge = actions.add_parser("purge", help="remove the secrets that have expired")
    purge.add_argument("--days", type=_days, help="so long ago, at least (key_manager.purge_expired_after)")


def run(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    """Do one action; what there is to say of it, in lines. A killed one is run again."""
    if words.action == "purge":
        after = timedelta(seconds=settings.key_manager.purge_expired_after)
        kept = after if words.days is None else timedelta(days=words.days)
        return [f"{cleaning.purge(db, clock.utcnow() - kept)} secrets are removed"]
    ring = Keyring(db, vault)
    if words.action == "rotate":
        return [f"{ring.rotate()} secrets are sealed under new keys"]
    ring.reseal()
    return [f"{ring.prune()} keys are forgotten"]


def _days(text: str) -> int:
    days = int(text)
    if not 0 <= days <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"0 to {MOST_DAYS} days")
    return days
