# SPDX-License-Identifier: Apache-2.0
"""What `cumulet key-manager` does: new keys for all secrets, and the end of the old ones."""

from __future__ import annotations

import argparse

from cumulet.kernel.db import Database
from cumulet.kernel.vault import Vault
from cumulet.services.key_manager.logic.keys import Keyring
from cumulet.settings import Settings


def arguments(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The actions and their own arguments."""
    actions.add_parser("rotate", help="give every project a new key and seal all secrets under it; the cloud may run")
    actions.add_parser("prune", help="forget the keys that nothing has needed for an hour")


def run(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    """Do one action; what there is to say of it, in lines. A killed one is run again."""
    ring = Keyring(db, vault)
    if words.action == "rotate":
        return [f"{ring.rotate()} secrets are sealed under new keys"]
    ring.reseal()
    return [f"{ring.prune()} keys are forgotten"]
