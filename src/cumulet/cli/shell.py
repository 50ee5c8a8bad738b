# SPDX-License-Identifier: Apache-2.0
"""`cumulet shell`: a shell, or a command, that stands where this machine meets the cloud's external network.

For clouds without root, whose floating IPs this machine itself cannot reach.
"""

from __future__ import annotations

import argparse
import os
import sys

from cumulet.cli import Call
from cumulet.settings import Settings

USUAL = "/bin/sh"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("words", nargs=argparse.REMAINDER, help="what to run there (default: a shell)")


def run(call: Call) -> int:
    """Become the command. Exit status 1 where there is no such place."""
    before = prefix(call.settings)
    if not before:
        print("cumulet: this cloud keeps no networks apart; the machine itself reaches floating IPs", file=sys.stderr)
        return 1
    words = [word for word in call.arguments.words if word != "--"] or [os.environ.get("SHELL", USUAL)]
    os.execvp(before[0], [*before, *words])  # noqa: S606 -- it becomes the command, terminal and all


def prefix(settings: Settings) -> list[str]:
    """The words before a command that has to reach floating IPs; none where the machine itself does."""
    from cumulet.kernel import userland
    from cumulet.services.network.drivers.fabric import names

    keeper = userland.found(settings.run)
    if keeper is None:
        return []
    return userland.within(keeper, names.host_space(names.suffix(settings.state / "agent")))
