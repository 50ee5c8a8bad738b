# SPDX-License-Identifier: Apache-2.0
"""`cumulet status`: what runs, and how it is. Exit status 0 when all is ready, 1 otherwise."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from cumulet import __version__
from cumulet.cli import Call, parts
from cumulet.cli.show import size, table
from cumulet.kernel import lock
from cumulet.settings import Settings

# Which of the control plane's answers speaks of which process.
HEALTH = {"control": "database", "agent": "agent", "data": "data"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("--json", action="store_true", help="for programs")


def run(call: Call) -> int:
    """Show."""
    found = look(call.settings)
    if call.arguments.json:
        print(json.dumps(found, indent=2))
    else:
        _show(call.settings, found)
    return 0 if found["ready"] else 1


def look(settings: Settings) -> dict[str, Any]:
    """All that is known, as plain data. Memory is in bytes, times in seconds since the epoch."""
    view = parts.overview(settings)
    known = {each.name: each for each in view.parts} if view else {}
    answer = parts.readiness(settings)
    processes = []
    for part in parts.PARTS:
        status = known.get(part.name) or parts.PartStatus(name=part.name)
        pid = status.pid or lock.owner(parts.lock_path(settings, part.name))
        processes.append(
            {
                "name": part.name,
                "state": status.state if known else ("running" if pid else "stopped"),
                "pid": pid or None,
                "since": status.since or None,
                "restarts": status.restarts,
                "memory": parts.memory(pid) if pid else None,
                "healthy": bool(answer and answer.parts.get(HEALTH[part.name])),
            }
        )
    return {
        "version": __version__,
        "state": str(settings.state),
        "url": settings.control_url,
        "ready": bool(answer and answer.ready),
        "supervisor": parts.supervisor_pid(settings),
        "parts": processes,
        "journal": journal(settings),
    }


def journal(settings: Settings) -> dict[str, int]:
    """How many of each kind of thing this host's agent keeps (servers, ports, ...)."""
    folder = settings.state / "agent" / "journal"
    kinds = sorted(folder.iterdir()) if folder.is_dir() else []
    return {kind.name: sum(1 for _ in kind.glob("*.mp")) for kind in kinds}


def _show(settings: Settings, found: dict[str, Any]) -> None:
    print(
        f"Cumulet {found['version']}, {'ready' if found['ready'] else 'not ready'}: {found['url']}, {found['state']}\n"
    )
    rows = [
        (
            next(part.title for part in parts.PARTS if part.name == each["name"]),
            each["state"],
            str(each["pid"] or "-"),
            size(each["memory"]),
            _age(each["since"]) if each["pid"] else "-",
            str(each["restarts"]),
            "ok" if each["healthy"] else "-",
        )
        for each in found["parts"]
    ]
    print(table(("part", "state", "pid", "memory", "up for", "restarts", "health"), rows))
    if found["journal"]:
        print("\nOn this host: " + ", ".join(f"{count} {kind}" for kind, count in found["journal"].items()))
    for each in found["parts"]:
        if each["state"] == "failed":
            print(f"\n{each['name']} is given up; see {parts.log_path(settings, each['name'])}, then run `cumulet up`.")


def _age(since: float | None) -> str:
    if since is None:
        return "-"
    minutes, seconds = divmod(int(time.time() - since), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
