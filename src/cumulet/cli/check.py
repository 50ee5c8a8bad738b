# SPDX-License-Identifier: Apache-2.0
"""`cumulet check`: has the running cloud examined, and shows what is not as its rows say; exit status 1 if anything."""

from __future__ import annotations

import argparse
import json
import sys

from cumulet.cli import Call
from cumulet.cli.show import table

PATIENCE = 600.0  # seconds that one look may take in a large cloud


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument(
        "--wait", type=float, default=45.0, metavar="SECONDS",
        help="how long something has to be wrong to be shown; what is under way ends meanwhile (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for programs")


def run(call: Call) -> int:
    """Examine and show; exit status 2 where the control plane does not answer."""
    from cumulet.kernel import door
    from cumulet.kernel.errors import NotReady

    wait = call.arguments.wait
    try:
        answer = door.ask(door.path_of(call.settings.run, "control"), "audit", timeout=wait + PATIENCE, seconds=wait)
    except (NotReady, TimeoutError) as error:
        print(f"cumulet: the control plane does not answer: {error}", file=sys.stderr)
        return 2
    if call.arguments.json:
        print(json.dumps(answer, indent=2))
    elif answer["findings"]:
        rows = [(each["service"], each["subject"], each["text"]) for each in answer["findings"]]
        print(table(("service", "of", "what is wrong"), rows))
    else:
        print(f"all is as it should be, here and on {', '.join(answer['hosts']) or 'no host, for none is connected'}")
    return 1 if answer["findings"] else 0
