# SPDX-License-Identifier: Apache-2.0
"""What `cumulet key-manager` does: new keys for all secrets."""

from __future__ import annotations

import argparse

from cumulet.kernel.db import Database
from cumulet.kernel.vault import Vault
from cumulet.services.key_manager.logic.keys import Keyring


def arguments(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The actions and their own arguments."""
    actions.add_parser("rotate", help="give every project a new key and seal all secrets under it; the cloud may run")


def run(db: Database, vault: Vault) -> list[str]:
    """Rotate; what there is to say of it, in lines. A killed rotation is run again."""
    return [f"{Keyring(db, vault).rotate()} secrets are sealed under new keys"]
