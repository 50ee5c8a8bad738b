# SPDX-License-Identifier: Apache-2.0
"""`cumulet migrate`: bring the schema up to date, which a start does as well; contract it, which only this does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cumulet.cli import Call


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument(
        "--contract", action="store_true", help="drop what only earlier releases need: none of them runs on it again"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 where something is left")


def run(call: Call) -> int:
    """Print what was done, or is left to do."""
    from cumulet.kernel.db import Database, migrate

    places = folders()
    if not call.settings.database.url and not call.settings.state.is_dir():
        print(f"cumulet: there is nothing at {call.settings.state}", file=sys.stderr)
        return 1
    database = Database.open(call.settings)
    try:
        if call.arguments.check:
            scripts = migrate.left(database, places, contract=call.arguments.contract)
            print("\n".join(map(str, scripts)) or "nothing is left to do")
            return 1 if scripts else 0
        applied = migrate.migrate(database, places, contract=call.arguments.contract)
        print("\n".join(applied) or "nothing was left to do")
        waiting = migrate.left(database, places, contract=True)
    except RuntimeError as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    finally:
        database.close()
    if waiting:
        print("left for `cumulet migrate --contract`, once no earlier release will run on this database again:")
        print("\n".join(f"  {script}" for script in waiting))
    return 0


def folders() -> dict[str, Path]:
    """The folder of each service's migrations."""
    from cumulet.app import SERVICES
    from cumulet.kernel.manifest import read_all

    return {service.package: service.migrations for service in read_all(SERVICES) if service.migrations}
