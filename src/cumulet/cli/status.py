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
from cumulet.kernel import door, lock
from cumulet.kernel.errors import NotReady
from cumulet.kernel.link.names import MEMBERSHIP
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
    store = {part.name: False for part in parts.of(settings) if parts.is_objects(part.name)}
    if len(store) > 1:
        store = {name: parts.answers(settings, name) for name in store}
    elif store:
        store = dict.fromkeys(store, parts.objects_answer(settings))
    is_ready = bool(answer and answer.ready) and all(store.values())
    processes = []
    for part in parts.of(settings):
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
                "healthy": store.get(part.name, bool(answer and answer.parts.get(HEALTH.get(part.name, "")))),
            }
        )
    link = _ask(settings, f"agent-{settings.host}", "link")
    if parts.is_host_alone(settings) and (agent := next((each for each in processes if each["name"] == "agent"), None)):
        agent["healthy"] = bool(link and link["way"])
    return {
        "version": __version__,
        "state": str(settings.state),
        "url": settings.control_url,
        "ready": is_ready or (is_member(settings) and bool(link and link["way"]) and all(store.values())),
        "supervisor": parts.supervisor_pid(settings),
        "parts": processes,
        "journal": journal(settings),
        "hosts": _ask(settings, "control", "hosts") or [],
        "link": link,
    }


def is_member(settings: Settings) -> bool:
    """Whether this machine is a host that has joined a control plane elsewhere."""
    return (settings.state / "agent" / MEMBERSHIP).is_dir()


def _ask(settings: Settings, part: str, verb: str) -> Any:
    """The answer of a running process, None where it does not run or does not know."""
    try:
        return door.ask(door.path_of(settings.run, part), verb, timeout=5.0)
    except (NotReady, door.DoorError, TimeoutError):
        return None


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
            next(part.title for part in parts.of(settings) if part.name == each["name"]),
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
        print("\nKept on this host: " + ", ".join(f"{kind} {count}" for kind, count in found["journal"].items()))
    _show_hosts(found["hosts"])
    _show_link(found["link"])
    for each in found["parts"]:
        if each["state"] == "failed":
            print(f"\n{each['name']} is given up; see {parts.log_path(settings, each['name'])}, then run `cumulet up`.")


def _show_hosts(hosts: list[dict[str, Any]]) -> None:
    if hosts:
        rows = [(each["name"], each["replica"], each["version"], _age(each["connected_at"])) for each in hosts]
        print("\n" + table(("host", "joined to", "version", "for"), rows))


def _show_link(link: dict[str, Any] | None) -> None:
    if link is None or link["certificate_until"] is None:
        return
    days = (link["certificate_until"] - time.time()) / 86_400
    words = f"joined by {link['way']} for {_age(link['since'])}" if link["way"] else f"not joined: {link['trouble']}"
    print(f"\nThis host is {words}; its certificate lasts {days:.0f} more days.")


def _age(since: float | None) -> str:
    if since is None:
        return "-"
    minutes, seconds = divmod(int(time.time() - since), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
