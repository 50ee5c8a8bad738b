# SPDX-License-Identifier: Apache-2.0
"""`cumulet agent`: this host's agent in the foreground; with `--drain`, the end of what an agent left running."""

from __future__ import annotations

import argparse
import sys

from cumulet.cli import Call, kinship


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    kinship.arguments(parser)
    parser.add_argument("--drain", action="store_true", help="stop the servers and remove the networks, then exit")


def run(call: Call) -> int:
    """Serve until SIGTERM, or drain."""
    kinship.follow(call.arguments.parent)
    from cumulet import agent
    from cumulet.kernel import lock

    try:
        if call.arguments.drain:
            return 0 if agent.drain(call.settings) else 1
        agent.run(call.settings)
    except lock.Held as error:
        print(f"cumulet: another agent works on this state directory: {error}", file=sys.stderr)
        return 1
    return 0
