# SPDX-License-Identifier: Apache-2.0
"""`cumulet image`: makes the guest image, and what the image service's keeper does now and then."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cumulet.cli import Call, guest, service_command
from cumulet.kernel.run import CommandFailed


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="build the guest image from Debian packages, or take it from the cache")
    build.add_argument("--output", type=Path, metavar="PATH", help="where to put it (default: in the cache)")
    service_command.add("image", actions)


def run(call: Call) -> int:
    """Build, or do the one action on the cloud's database, whether the cloud runs or not."""
    return _build(call) if call.arguments.action == "build" else service_command.run("image", call)


def _build(call: Call) -> int:
    from cumulet.guest.build import GuestBuildError

    output = (call.arguments.output or call.settings.cache / guest.FILE_NAME).absolute()
    try:
        path = guest.build(call.settings, output, lambda text: print(f"  {text}", flush=True))
    except (GuestBuildError, CommandFailed, OSError) as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0
