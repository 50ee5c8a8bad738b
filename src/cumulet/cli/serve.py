# SPDX-License-Identifier: Apache-2.0
"""`cumulet serve`: the control plane in the foreground."""

from __future__ import annotations

import argparse
import sys

from cumulet.cli import Call, kinship


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("--replica", metavar="NAME", help="the name of this one among several on one database")
    kinship.arguments(parser)


def run(call: Call) -> int:
    """Serve until SIGTERM."""
    kinship.follow(call.arguments.parent)
    from cumulet import app
    from cumulet.kernel.master_key import NoMasterKey

    try:
        app.serve(call.settings, role="control")
    except NoMasterKey as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    return 0
