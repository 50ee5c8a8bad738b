# SPDX-License-Identifier: Apache-2.0
"""What monitoring asks for: the machine, devices, rings and upkeep, in the words of Swift's `/recon`.

What Swift tells of a daemon that is not here is None, as it is there before that daemon's first run.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from os import sysconf
from pathlib import Path
from typing import Any

from cumulet import __version__
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.jobs.tidying import Tally
from cumulet.services.object_store.engine.jobs.upkeep import Run, Upkeep
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.logic.home import SECRET, Home
from cumulet.settings.object_store import ObjectDevice

_PAGE = 1000
_TYPES = ("account", "container", "object")
_NEVER = Run(ended=None, seconds=None, done=0, failed=0)

Fields = dict[str, Any]


class Recon:
    """Of one process: `home` says which devices it should have, `places` has those that are at hand."""

    def __init__(self, home: Home, places: Places, upkeep: Upkeep) -> None:
        self.places = places
        self._home, self._upkeep = home, upkeep
        self._begun = time.time()
        self._plain: dict[str, Callable[[], Any]] = {
            "mem": _memory,
            "load": _load,
            "mounted": _mounts,
            "sockstat": _sockets,
            "version": lambda: {"version": __version__},
            "time": time.time,
            "devices": self._devices,
            "unmounted": self._unmounted,
            "ringmd5": self._rings,
            "swiftconfmd5": self._secret,
            "async": self._owed,
            "driveaudit": lambda: _unknown("drive_audit_errors"),
            "sharding": self._sharding,
            "relinker": lambda: _unknown("devices", "workers"),
        }
        self._typed: dict[str, tuple[tuple[str, ...], Callable[[str], Any]]] = {
            "replication": (_TYPES, self._replication),
            "updater": (("container", "object"), self._updater),
            "auditor": (_TYPES, self._auditor),
            "expirer": (("object",), self._expirer),
            "reconstruction": (("object",), self._reconstruction),
        }

    async def tell(self, what: str, kind: str | None) -> Any:
        """What `/recon/<what>[/<kind>]` answers; LookupError where there is no such thing."""
        if what == "diskusage":
            return [await self._usage(each) for each in self._home.devices]
        if what == "quarantined":
            return await self._quarantined()
        if (plain := self._plain.get(what)) is not None:
            return await asyncio.to_thread(plain)
        kinds, typed = self._typed[what]
        if kind is None and what == "replication":
            kind = "object"
        if kind not in kinds:
            raise KeyError(kind)
        return typed(kind)

    def _node(self, device: ObjectDevice) -> Node | None:
        return self.places.devices.get((self._home.address, self._home.port, device.name))

    def _devices(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for each in self._home.devices:
            found.setdefault(str(each.folder.parent), []).append(each.name)
        return found

    def _unmounted(self) -> list[Fields]:
        return [{"device": each.name, "mounted": False} for each in self._home.devices if self._node(each) is None]

    async def _usage(self, device: ObjectDevice) -> Fields:
        absent = {"device": device.name, "mounted": False, "size": "", "used": "", "avail": ""}
        node = self._node(device)
        if node is None:
            return absent
        try:
            space = await node.objects.space()
        except TROUBLE:
            return absent
        return absent | {
            "mounted": True, "size": space.total, "used": space.total - space.free, "avail": space.free
        }  # fmt: skip

    async def _quarantined(self) -> Fields:
        policies: dict[str, dict[str, int]] = {}
        for node in self.places.local():
            after = 0
            try:
                while page := await node.objects.quarantined(after, _PAGE):
                    after = page[-1].id
                    for each in page:
                        own = policies.setdefault(str(each.entry.address.policy), {"objects": 0})
                        own["objects"] += 1
            except TROUBLE:
                continue
        total = sum(each["objects"] for each in policies.values())
        return {"objects": total, "containers": 0, "accounts": 0, "policies": policies}

    def _rings(self) -> Fields:
        return {str(path): _md5(path) for path in sorted(self._home.rings.glob("*.ring.gz"))}

    def _secret(self) -> Fields:
        path = self._home.folder / SECRET
        return {str(path): _md5(path)}

    def _ran(self, name: str) -> Run:
        return self._upkeep.runs.get(name, _NEVER)

    def _owed(self) -> Fields:
        return {"async_pending": self._upkeep.updater.left, "async_pending_last": self._ran("updater").ended}

    def _replication(self, kind: str) -> Fields:
        run = self._ran("replicator" if kind == "object" else "index replicator")
        minutes = None if run.seconds is None else run.seconds / 60
        found: Fields = {
            "replication_time": minutes if kind == "object" else run.seconds,
            "replication_stats": None if run.ended is None else {"success": run.done, "failure": run.failed},
            "replication_last": run.ended,
        }
        if kind == "object":
            found |= {"object_replication_time": minutes, "object_replication_last": run.ended}
        return found

    def _updater(self, kind: str) -> Fields:
        run = self._ran("updater")
        if kind == "container":
            return {"container_updater_sweep": run.seconds}
        stats = None if run.ended is None else {"successes": run.done, "failures": run.failed}
        return {
            "object_updater_sweep": run.seconds,
            "object_updater_stats": stats,
            "object_updater_last": run.ended,
        }

    def _sharding(self) -> Fields:
        run = self._ran("sharder")
        stats = None if run.ended is None else {"success": run.done, "failure": run.failed}
        return {"sharding_stats": stats, "sharding_time": run.seconds, "sharding_last": run.ended}

    def _reconstruction(self, kind: str) -> Fields:
        """Fragments are rebuilt by the replicator, where a policy encodes."""
        run = self._ran("replicator") if self._upkeep.completer is not None else _NEVER
        minutes = None if run.seconds is None else run.seconds / 60
        return {"object_reconstruction_last": run.ended, "object_reconstruction_time": minutes}

    def _expirer(self, kind: str) -> Fields:
        run = self._ran("expirer")
        return {"object_expiration_pass": run.seconds, "expired_last_pass": None if run.ended is None else run.done}

    def _auditor(self, kind: str) -> Fields:
        run, tally = self._ran("auditor"), self._upkeep.auditor.tallies.get(kind, Tally())
        if kind == "object":
            stats = {
                "start_time": self._begun,
                "passes": tally.passed,
                "errors": run.failed,
                "quarantined": tally.failed,
                "bytes_processed": tally.bytes,
                "audit_time": run.seconds,
            }
            return {"object_auditor_stats_ALL": stats, "object_auditor_stats_ZBF": None}
        return {
            f"{kind}_audits_passed": tally.passed,
            f"{kind}_auditor_pass_completed": run.seconds,
            f"{kind}_audits_since": self._begun,
            f"{kind}_audits_failed": tally.failed,
        }


def _unknown(*names: str) -> Fields:
    return dict.fromkeys(names)


def _md5(path: Path) -> str | None:
    try:
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return None


def _load() -> Fields:
    one, five, fifteen, tasks, processes = Path("/proc/loadavg").read_text().split()
    return {"1m": float(one), "5m": float(five), "15m": float(fifteen), "tasks": tasks, "processes": int(processes)}


def _memory() -> Fields:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _mounts() -> list[Fields]:
    lines = Path("/proc/mounts").read_text().splitlines()
    return [{"device": words[0], "path": words[1]} for words in (line.split() for line in lines)]


def _sockets() -> Fields:
    found: Fields = {}
    for name in ("sockstat", "sockstat6"):
        path = Path("/proc/net") / name
        lines = path.read_text().splitlines() if path.exists() else []
        for words in (line.split() for line in lines):
            if words[:2] == ["TCP:", "inuse"]:
                found["tcp_in_use"], found["orphan"] = int(words[2]), int(words[4])
                found["time_wait"] = int(words[6])
                found["tcp_mem_allocated_bytes"] = int(words[10]) * sysconf("SC_PAGE_SIZE")
            elif words[:2] == ["TCP6:", "inuse"]:
                found["tcp6_in_use"] = int(words[2])
    return found
