# SPDX-License-Identifier: Apache-2.0
"""All that an engine may have left in the kernel, by namespace, so that before and after can be compared."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from cumulet.services.network.drivers.fabric import conntrack, nft
from cumulet.services.network.drivers.fabric.namespace import FOLDER, Namespace

_STAMP = re.compile(r"(v|[a-z]+-[0-9a-f]{8}-)[0-9a-f]{24}")
_PERMANENT = 0x80


def remains(host: Namespace, mark: str) -> dict[str, Any]:
    """What is in the host's own namespace and in those of the engine's mark, and who lives there."""
    spaces = [host, *(Namespace(path.name) for path in sorted(FOLDER.glob(f"cumulet-{mark}*")))]
    found = {space.name: space.visit(_inside) for space in spaces if space.exists()}
    lives = _inhabitants({space.path.stat().st_ino: space.name for space in spaces if space.exists()})
    return {name: {**words, "processes": lives.get(name, [])} for name, words in found.items()}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is not as it was, in words."""
    wrong = [f"{space} is {'gone' if space in before else 'left'}" for space in before.keys() ^ after.keys()]
    for space in before.keys() & after.keys():
        for kind, was in before[space].items():
            now = after[space][kind]
            wrong += [f"{space}: {kind} left: {one}" for one in now if one not in was]
            wrong += [f"{space}: {kind} gone: {one}" for one in was if one not in now]
    return wrong


def _inside() -> dict[str, list[str]]:
    """Called in the namespace."""
    with IPRoute() as route:
        devices = dict(socket.if_nameindex())
        return {
            "devices": sorted(devices.values()),
            "rules of nftables": _ruleset(),
            "queues": _queues(route, devices),
            "addresses": sorted(
                f"{devices.get(item['index'])} {item.get_attr('IFA_ADDRESS')}"
                for item in route.get_addr()
                if not str(item.get_attr("IFA_ADDRESS")).startswith("fe80:")
            ),
            "routes": sorted(_road(item) for item in route.get_routes(type=1)),
            "rules of routing": sorted(
                f"{item['family']} {item.get_attr('FRA_PRIORITY')} {item.get_attr('FRA_FWMARK')}"
                for item in (*route.get_rules(), *route.get_rules(family=socket.AF_INET6))
            ),
            "forwarding": sorted(
                f"{devices.get(item['ifindex'])} {item.get_attr('NDA_LLADDR')} {item.get_attr('NDA_DST')}"
                for item in route.fdb("dump")
                if item["state"] & _PERMANENT
            ),
            "neighbours": sorted(
                f"{devices.get(item['ifindex'])} {item.get_attr('NDA_DST')}"
                for family in (socket.AF_INET, socket.AF_INET6)
                for item in route.get_neighbours(family=family)
                if item["state"] & _PERMANENT
            ),
            "connections": sorted(
                f"{one.original.protocol} {one.original.source} {one.original.destination} in zone {one.zone}"
                for one in conntrack.read()
            ),
        }


def _road(item: Any) -> str:
    return f"{item['family']} {item.get_attr('RTA_DST')}/{item['dst_len']} in {item.get_attr('RTA_TABLE')}"


def _queues(route: IPRoute, devices: dict[int, str]) -> list[str]:
    """Queueing disciplines that are not the kernel's own choice, and the filters on them."""
    found = [
        (item["index"], item.get_attr("TCA_KIND"), item["handle"])
        for item in route.get_qdiscs()
        if item.get_attr("TCA_KIND") not in ("noqueue", "pfifo_fast", "mq", "noop", "fq_codel", "pfifo")
    ]
    filters = [
        f"{devices.get(index)} {item.get_attr('TCA_KIND')}"
        for index, _, handle in found
        for item in route.get_filters(index=index, parent=handle)
    ]
    return sorted([*(f"{devices.get(index)} {kind}" for index, kind, _ in found), *filters])


def _ruleset() -> list[str]:
    """Everything that nftables has there but the stamps, some old ones of which stay."""
    items = json.loads(nft._run("list ruleset\n", as_json=True)).get("nftables", [])
    kept = []
    for item in items:
        ((kind, words),) = item.items()
        if kind != "metainfo" and not _STAMP.fullmatch(words.get("name", "")):
            kept.append(json.dumps(nft._plain(item), sort_keys=True))
    return sorted(kept)


def _inhabitants(spaces: dict[int, str]) -> dict[str, list[str]]:
    """The programs of processes by the namespace that they are in; `spaces` are names by inode."""
    found: dict[str, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            space = spaces.get((path / "ns" / "net").stat().st_ino)
            name = (path / "comm").read_text().strip()
        except OSError:
            continue
        if space is not None:
            found.setdefault(space, []).append(name)
    return found
