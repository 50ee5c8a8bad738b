# SPDX-License-Identifier: Apache-2.0
"""A command whose actions a service brings along in its room `cli.py`: they work on the cloud's database."""

from __future__ import annotations

import argparse
import importlib
import sys
from contextlib import closing
from types import ModuleType

from cumulet.cli import Call


def arguments(package: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of the actions of the service in `package`."""
    add(package, parser.add_subparsers(dest="action", metavar="ACTION", required=True))


def add(package: str, actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions of the service in `package` to those of a command that has others as well."""
    _room(package).arguments(actions)


def run(package: str, call: Call) -> int:
    """Do the one action, whether the cloud runs or not. Exit status 1 where it was refused."""
    from cumulet.cli.migrate import folders
    from cumulet.kernel import lock
    from cumulet.kernel.db import Database, migrate
    from cumulet.kernel.errors import CumuletError
    from cumulet.kernel.vault import Vault

    if not call.settings.database.url and not call.settings.state.is_dir():
        print(f"cumulet: there is nothing at {call.settings.state}", file=sys.stderr)
        return 1
    with closing(Database.open(call.settings)) as db:
        if migrate.pending(db, folders()):
            print("cumulet: the schema is not up to date; run `cumulet migrate`", file=sys.stderr)
            return 1
        try:
            lines = _room(package).run(call.settings, db, Vault(db, call.settings.master_key), call.arguments)
        except (CumuletError, lock.Held) as error:
            print(f"cumulet: {error}", file=sys.stderr)
            return 1
    print("\n".join(lines))
    return 0


def _room(package: str) -> ModuleType:
    return importlib.import_module(f"cumulet.services.{package}.cli")
