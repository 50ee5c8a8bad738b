# SPDX-License-Identifier: Apache-2.0
"""`cumulet key-manager`: what the keeper of secrets does now and then."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from cumulet.cli import Call


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    from cumulet.services.key_manager import cli

    cli.arguments(parser.add_subparsers(dest="action", metavar="ACTION", required=True))


def run(call: Call) -> int:
    """Do the one action on the cloud's database, whether the cloud runs or not. Exit status 1 where it was refused."""
    from cumulet.cli.migrate import folders
    from cumulet.kernel.db import Database, migrate
    from cumulet.kernel.errors import CumuletError
    from cumulet.kernel.vault import Vault
    from cumulet.services.key_manager import cli

    if not call.settings.database.url and not call.settings.state.is_dir():
        print(f"cumulet: there is nothing at {call.settings.state}", file=sys.stderr)
        return 1
    with closing(Database.open(call.settings)) as db:
        if migrate.pending(db, folders()):
            print("cumulet: the schema is not up to date; run `cumulet migrate`", file=sys.stderr)
            return 1
        try:
            lines = cli.run(db, Vault(db, call.settings.master_key), call.arguments)
        except CumuletError as error:
            print(f"cumulet: {error.message}", file=sys.stderr)
            return 1
    print("\n".join(lines))
    return 0
