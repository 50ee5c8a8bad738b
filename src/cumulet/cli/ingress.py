# SPDX-License-Identifier: Apache-2.0
"""`cumulet ingress`: ports of this machine that lead to floating IPs, kept until they are taken back.

For clouds without root, whose floating IPs this machine itself cannot reach, and for whoever may reach this machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cumulet.cli import Call


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.add_parser("list", help="show what leads where (the default)")
    add = verbs.add_parser("add", help="let what comes to LISTEN go to TO: ingress add 127.0.0.1:2222 172.24.4.21:22")
    add.add_argument("listen", help="an address of this machine with a port")
    add.add_argument("to", help="a floating IP with a port")
    remove = verbs.add_parser("remove", help="listen there no more")
    remove.add_argument("listen")


def run(call: Call) -> int:
    """Print the table after the change. Exit status 1 where the agent refuses, or is not there."""
    from cumulet.kernel import door
    from cumulet.kernel.errors import NotReady

    words = call.arguments
    given = {name: getattr(words, name) for name in ("listen", "to") if hasattr(words, name)}
    agents = sorted(call.settings.run.glob(door.path_of(Path(), "agent-*").name))
    try:
        answer = door.ask(agents[0] if agents else Path(), f"ingress.{words.verb or 'list'}", **given)
    except NotReady:
        print("cumulet: this machine's agent does not answer; does the cloud run?", file=sys.stderr)
        return 1
    except door.DoorError as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    for passage in answer["passages"]:
        problem = f" ({passage['problem']})" if passage["problem"] else ""
        print(f"{passage['listen']} -> {passage['to']}{problem}")
    return 0
