# SPDX-License-Identifier: Apache-2.0
"""`cumulet vault`: replace the master key under which the database keeps the cloud's secrets."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from cumulet.cli import Call

if TYPE_CHECKING:
    from cumulet.kernel.vault import Vault


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("show", help="name the keys of this machine's file, and those that some secret needs")
    actions.add_parser("stage", help="add a key that opens already; carry the file to every replica before `rotate`")
    actions.add_parser("rotate", help="seal everything under the newest key, a new one where none is staged")
    actions.add_parser("prune", help="forget the keys that nothing needs any more")


def run(call: Call) -> int:
    """Do the one action. Exit status 1 where a key is missing or another command is at work."""
    from cumulet.kernel import lock
    from cumulet.kernel.db import Database
    from cumulet.kernel.master_key import NoMasterKey
    from cumulet.kernel.vault import Vault

    with closing(Database.open(call.settings)) as db:
        try:
            _act(call.arguments.action, Vault(db, call.settings.master_key))
        except (NoMasterKey, lock.Held) as error:
            print(f"cumulet: {error}", file=sys.stderr)
            return 1
    return 0


def _act(action: str, vault: Vault) -> None:
    if action == "stage":
        print(f"staged {vault.keys.stage()}: copy the file to every replica, then run `cumulet vault rotate` on one")
    elif action == "rotate":
        name = vault.keys.promote()
        print(f"{vault.reseal()} secrets are sealed under {name} now; copy the file to every replica")
    elif action == "prune":
        print("forgotten: " + (", ".join(vault.keys.prune(vault.used_keys())) or "none"))
    else:
        used = vault.used_keys()
        for at, name in enumerate(vault.keys.all()):
            print(f"{name}  {'seals' if at == 0 else 'opens'}{'' if name in used else ', not needed'}")
        for name in sorted(used - vault.keys.all().keys()):
            print(f"{name}  is needed and is not in this machine's file")
