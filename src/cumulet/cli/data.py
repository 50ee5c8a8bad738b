# SPDX-License-Identifier: Apache-2.0
"""`cumulet data`: the data process in the foreground."""

from __future__ import annotations

import argparse

from cumulet.cli import Call, kinship


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("--replica", metavar="NAME", help="the name of this one among several on one database")
    kinship.arguments(parser)


def run(call: Call) -> int:
    """Serve until SIGTERM."""
    kinship.follow(call.arguments.parent)
    from cumulet import app

    app.serve(call.settings, role="data")
    return 0
