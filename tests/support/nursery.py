# SPDX-License-Identifier: Apache-2.0
"""A supervisor for tests that kill: it loads all code once, and each part is a fork of it, started again at once.

Run as a program with a JSON list of parts: `{"name", "role", "settings": {...}, "log"}`, with a
"namespace" where that is its network. It tells on stdout, one line each, which part has which process id now
(`control 4711`). On stdin it takes `start NAME`, `hold` (who dies now stays dead) and `release`; the end of stdin ends
all.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cumulet.agent
import cumulet.app
from cumulet import settings as settings_module
from cumulet.kernel import saga
from cumulet.kernel.db import outbox
from cumulet.kernel.link import agent as uplink
from cumulet.kernel.manifest import read_all
from cumulet.kernel.policy import Policy
from cumulet.services.image.logic import abandoned
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.settings import sources

ROOMS = (
    *("api", "facade", "flows", "hosts", "listeners", "loops", "bootstrap", "policy", "agent", "audit"),
    "drivers.fake",
)
ROOMS_OF_HOSTS = ("agent", "drivers.fake", "drivers.fabric.engine")
# What is loaded no sooner than it is needed, which here is at each start.
LATE = ("cumulet.kernel.bus.datagrams", "cumulet.kernel.db.dialects.sqlite", "encodings.idna", "uvicorn.lifespan.off")
LATE_SCALED = (
    *("cumulet.kernel.bus.pgnotify", "cumulet.kernel.db.dialects.postgres", "cumulet.kernel.link.join"),
    *("cumulet.kernel.link.tls_door", "psycopg", "sqlalchemy.dialects.postgresql.psycopg"),
)
PR_SET_PDEATHSIG = 1
OFTEN = 3.0  # seconds between two rounds of periodic work, which repairs what a kill or a failure left
ROUND = 0.02  # seconds between two looks at the children


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the end of stdin is what ends it
    parts = {part["name"]: part for part in json.loads(sys.argv[1])}
    hosts_alone = all(part["role"] == "agent" for part in parts.values())
    _load(ROOMS_OF_HOSTS if hosts_alone else ROOMS)
    if not hosts_alone:
        scaled = any(part["settings"].get("database.url") for part in parts.values())
        for name in (*LATE, *(LATE_SCALED if scaled else ())):
            importlib.import_module(name)
        _warm(parts.values())
    gc.collect()
    gc.freeze()
    running: dict[int, str] = {}
    wanted: set[str] = set()
    restarting = True
    while True:
        if select.select([0], [], [], ROUND)[0]:
            heard = os.read(0, 4096)
            if not heard:
                break
            for word, _, name in (line.partition(" ") for line in heard.decode().splitlines()):
                if word == "start":
                    wanted.add(name)
                restarting = {"hold": False, "release": True}.get(word, restarting)
        _bury(running)
        for name in sorted(wanted - set(running.values())) if restarting else ():
            _tell(parts[name], running)
    _kill(running)
    while running:
        _bury(running, wait=True)


def _tell(part: dict[str, Any], running: dict[int, str]) -> None:
    pid = _start(part)
    running[pid] = part["name"]
    print(part["name"], pid, flush=True)


def _load(rooms: tuple[str, ...]) -> None:
    """All code, once; and what only costs time in tests made short."""
    saga.RESCAN = 0.1
    saga.LEASE = 3.0
    outbox.LEASE = 3.0
    uplink.LAST_PAUSE = 0.1
    abandoned.PATIENCE = 20.0
    for service in read_all(cumulet.app.SERVICES):
        for room in rooms:
            try:
                service.room(room)
            except ModuleNotFoundError as error:
                if "cumulet" not in (error.name or ""):
                    raise
        for periodic in getattr(service.room("loops"), "LOOPS", ()):
            object.__setattr__(periodic, "seconds", min(periodic.seconds, OFTEN))


def _warm(parts: Iterable[dict[str, Any]]) -> None:
    """What each process works out anew when it starts and at its first requests."""
    sources.known_names = functools.cache(sources.known_names)
    for part in parts:
        settings_module.load(environ={}, overrides=part["settings"])
    for service in read_all(cumulet.app.SERVICES):
        if rules := service.room("policy"):
            Policy(rules.RULES)
        if (api := getattr(service.room("api"), "API", None)) is not None:
            assert api.tree is not None


def _start(part: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        log = os.open(part["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for handle in (1, 2):
            os.dup2(log, handle)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if "namespace" in part:
            Namespace(part["namespace"]).enter()
        settings = settings_module.load(environ={}, overrides=part["settings"])
        if part["role"] == "agent":
            cumulet.agent.run(settings)
        else:
            cumulet.app.serve(settings, part["role"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def _kill(pids: Any) -> None:
    for pid in list(pids):
        os.kill(pid, signal.SIGKILL)


def _bury(running: dict[int, str], *, wait: bool = False) -> None:
    while running:
        pid, _ = os.waitpid(-1, 0 if wait else os.WNOHANG)
        if pid == 0:
            return
        running.pop(pid, None)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
