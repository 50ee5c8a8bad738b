# SPDX-License-Identifier: Apache-2.0
"""`cumulet log-level`: show or change what running processes log, until they are started again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from cumulet.cli import Call
from cumulet.settings import Settings

LEVELS = ("debug", "info", "warning", "error", "critical", "reset")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("logger", nargs="?", help="a logger and all below it (cumulet.kernel.saga); `root` is all")
    parser.add_argument("level", nargs="?", choices=LEVELS, help="`reset` goes back to what the settings say")
    parser.add_argument("--part", action="append", help="control, data, objects, agent (default: each that runs)")


def run(call: Call) -> int:
    """Print each part's levels after the change; exit status 1 where no part answered."""
    from cumulet.kernel import door
    from cumulet.kernel.errors import NotReady

    words = call.arguments
    if words.logger is not None and words.level is None:
        print("cumulet: say the level too: " + ", ".join(LEVELS), file=sys.stderr)
        return 2
    change = {} if words.logger is None else {"logger": words.logger, "level": words.level}
    reached = 0
    for name, path in _doors(call.settings, words.part):
        try:
            levels = door.ask(path, "log.level", **change)
        except NotReady:
            continue
        except door.DoorError as error:
            print(f"cumulet: {name}: {error}", file=sys.stderr)
            return 1
        reached += 1
        print(f"{name}: " + ", ".join(f"{logger}={level}" for logger, level in levels.items()))
    if not reached:
        print("cumulet: no part answers; does the cloud run?", file=sys.stderr)
    return 0 if reached else 1


def _doors(settings: Settings, parts: list[str] | None) -> Iterator[tuple[str, Path]]:
    for path in sorted(settings.run.glob("*.door")):
        if parts is None or path.stem in parts or path.stem.partition("-")[0] in parts:
            yield path.stem, path
