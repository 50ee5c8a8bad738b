# SPDX-License-Identifier: Apache-2.0
"""`cumulet objects`: the object store in the foreground, with all of its workers or as one of them."""

from __future__ import annotations

import argparse
import sys

from cumulet.cli import Call, kinship, parts


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    kinship.arguments(parser)
    parser.add_argument("--worker", type=int, metavar="N", help="be this one of object_store.workers, from 0 on")


def run(call: Call) -> int:
    """Serve until SIGTERM."""
    kinship.follow(call.arguments.parent)
    if not call.settings.object_store.enabled:
        print("cumulet: the settings say that there is no object store here: object_store.enabled", file=sys.stderr)
        return 1
    count, worker = call.settings.object_store.workers, call.arguments.worker
    if worker is not None and not 0 <= worker < count:
        print(f"cumulet: there are {count} workers, from 0 on: object_store.workers", file=sys.stderr)
        return 1
    from cumulet.kernel import lock
    from cumulet.kernel.errors import CumuletError
    from cumulet.kernel.link.names import NotJoined

    try:
        if count > 1 and worker is None:
            _keep_all(call)
        else:
            from cumulet import objects as process

            process.run(call.settings, worker or 0)
    except (CumuletError, lock.Held, NotJoined) as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    return 0


def _keep_all(call: Call) -> None:
    """Start all workers, and start again those that die. What they say is in their own logs."""
    from cumulet.cli.supervise import keep

    keep(call.settings, call.flags, parts.workers(call.settings), parts.OBJECTS)
