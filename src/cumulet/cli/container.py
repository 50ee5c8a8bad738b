# SPDX-License-Identifier: Apache-2.0
"""`cumulet container`: the shards of a container of the object store."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from cumulet.cli import Call

TIMEOUT = 120.0  # seconds


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, words in (("show", "show its shards"), ("shard", "begin to split it, however small it is")):
        action = actions.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
        action.add_argument("account", help="AUTH_ and the id of a project, say")
        action.add_argument("container")
        action.add_argument("--json", action="store_true", help="for programs")
        if name == "shard":
            action.add_argument(
                "--rows",
                type=int,
                default=0,
                metavar="N",
                help="objects of a shard; small ones are merged again where that goes by itself",
            )


def run(call: Call) -> int:
    """Ask the object store at its door; exit status 1 where it refuses, or nobody answers."""
    from cumulet.cli import parts
    from cumulet.kernel import door
    from cumulet.kernel.errors import NotReady

    words = call.arguments
    store = parts.workers(call.settings)
    if not store:
        print("cumulet: there is no object store on this machine: object_store.enabled", file=sys.stderr)
        return 1
    path = door.path_of(call.settings.run, store[0].name)
    asked = {"account": words.account, "container": words.container, "rows": getattr(words, "rows", 0)}
    try:
        found = door.ask(path, f"container.{words.action}", timeout=TIMEOUT, **asked)
    except (NotReady, TimeoutError):
        print("cumulet: the object store does not answer; is it running on this machine?", file=sys.stderr)
        return 1
    except door.DoorError as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2) if words.json else "\n".join(_text(found)))
    return 0


def _text(found: dict[str, Any]) -> Iterator[str]:
    size = f"{found['objects']} objects, {found['bytes']} bytes"
    yield f"{found['account']}/{found['container']} is {found['state']}: {size}"
    for each in found["ranges"]:
        bounds = f"{_bound(each['lower'], 'the first')} up to {_bound(each['upper'], 'the last')}"
        yield f"  {each['state']:<9} {each['objects']:>10} objects  {each['name']}  behind {bounds}"


def _bound(name: str, none: str) -> str:
    return json.dumps(name, ensure_ascii=False) if name else none
