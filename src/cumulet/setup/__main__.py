# SPDX-License-Identifier: Apache-2.0
"""`python3.11 -m cumulet.setup packages | environment`: what the Makefile calls before anything is installed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cumulet.cli.show import Phases
from cumulet.setup import environment, packages


def main() -> int:
    """Make one thing ready and return the exit status."""
    parser = argparse.ArgumentParser(prog="python3.11 -m cumulet.setup", description="Get this machine ready.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    debian = actions.add_parser("packages", help="install the Debian packages that are missing")
    debian.add_argument("--tests", action="store_true", help="those that the tests lean on as well")
    debian.add_argument("--browser", action="store_true", help="a browser for the tests of pages as well")
    venv = actions.add_parser("environment", help="bring the virtual environment up to date")
    venv.add_argument("folder", type=Path)
    venv.add_argument("--project", type=Path, default=Path.cwd())
    venv.add_argument("--group", action="append", default=[], help="a dependency group to install too")
    venv.add_argument("--extra", action="append", default=[], help="an extra of the package to install too")
    words = parser.parse_args()
    try:
        if words.action == "packages":
            _packages("cloud", *(purpose for purpose in ("tests", "browser") if getattr(words, purpose)))
        else:
            _environment(words)
    except packages.SetupFailed as error:
        sys.stderr.write(f"set-up: {error}\n")
        return 1
    return 0


def _packages(*purposes: str) -> None:
    with Phases().phase("Debian packages") as phase:
        wanted = packages.missing(packages.wanted(*purposes))
        packages.install(wanted)
        phase.detail = f"installed {', '.join(each.name for each in wanted)}" if wanted else "all there"


def _environment(words: argparse.Namespace) -> None:
    with Phases().phase("virtual environment") as phase:
        changed = environment.prepare(words.project.absolute(), words.folder.absolute(), words.group, words.extra)
        phase.detail = str(words.folder) if changed else "unchanged"


if __name__ == "__main__":
    sys.exit(main())
