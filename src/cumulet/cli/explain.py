# SPDX-License-Identifier: Apache-2.0
"""`cumulet explain`: why a server or a port is as it is, what is waited for, and what to do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from cumulet.cli import Call

TIMEOUT = 60.0  # seconds; hosts are asked meanwhile


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("kind", help="server or port")
    parser.add_argument("id", help="its id")
    parser.add_argument("--to", metavar="ADDRESS", help="of a port: what a packet would meet on its way there")
    parser.add_argument("--protocol", default="", help="of that packet: tcp, udp, a number (default: a ping)")
    parser.add_argument("--number", default="", help="the TCP or UDP port that it is for")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(call: Call) -> int:
    """Ask the control plane at its door; exit status 1 where there is no such thing or nobody answers."""
    from cumulet.kernel import door
    from cumulet.kernel.errors import NotReady

    words = call.arguments
    path = door.path_of(call.settings.run, "control")
    try:
        found = door.ask(path, "explain", timeout=TIMEOUT, **_question(words))
    except (NotReady, TimeoutError):
        print("cumulet: the control plane does not answer; is it running on this machine?", file=sys.stderr)
        return 1
    except door.DoorError as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2) if words.json else "\n".join(_text(found)))
    return 0


def _question(words: argparse.Namespace) -> dict[str, str]:
    return {name: getattr(words, name) or "" for name in ("kind", "id", "to", "protocol", "number")}


def _text(found: dict[str, Any]) -> Iterator[str]:
    owner = ", ".join(f"{name} {value}" for name, value in found["owner"].items())
    yield f"{found['kind']} {found['id']} ({found['name']}) is {found['state']}; it belongs to {owner}"
    for name, value in found["facts"].items():
        if value is not None:
            yield f"  {name}: {_plain(value)}"
    if found["host"]:
        link = found["link"]
        joined = f"joined since {link['since']}" if link.get("joined") else "NOT joined"
        yield f"host {found['host']}: {joined}; it reports {_plain(found['reported']) or 'nothing'}"
    for layer in found["layers"]:
        yield f"  {'ok ' if layer['sound'] else 'NOT'} {layer['name']}: {layer['words']}"
    for part in found["parts"]:
        words = {name: value for name, value in part.items() if name not in ("kind", "id") and value not in (None, [])}
        yield f"{part['kind']} {part['id']}: {_plain(words)}"
    for saga in found["sagas"]:
        yield from _saga(saga)
    for event in found["events"]:
        yield from _event(event)
    yield from _listed("A packet on its way:", found["path"])
    yield from _listed("Waiting for:", found["waiting"] or ["nothing"])
    yield from _listed("What to do:", found["advice"])


def _saga(saga: dict[str, Any]) -> Iterator[str]:
    ended = f", ended {saga['ended']}" if saga["ended"] else ""
    yield f"{saga['flow']} is {saga['status']}, began {saga['began']}{ended}"
    yield "  " + ", ".join(f"{step['name']} {step['is']}" for step in saga["steps"])
    if saga["error"]:
        yield f"  {saga['error']}"


def _event(event: dict[str, Any]) -> Iterator[str]:
    message = f": {event['message']}" if event["message"] else ""
    yield f"{event['at']} {event['what']} ({event['request_id']}){message}"
    for step in event["steps"]:
        details = f" - {step['details']}" if step["details"] else ""
        where = f" on {step['host']}" if step.get("host") else ""
        yield f"  {step['what']}{where}: {step['result']}{details}"


def _listed(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield title
        yield from (f"  - {line}" for line in lines)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, list):
        return " ".join(map(_plain, value))
    return str(value)
