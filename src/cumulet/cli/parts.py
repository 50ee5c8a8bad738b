# SPDX-License-Identifier: Apache-2.0
"""The processes that a cloud on one machine consists of: their names, files and commands, and how they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Literal

import msgspec

from cumulet.kernel import door, lock
from cumulet.kernel.errors import NotReady
from cumulet.kernel.link.names import MEMBERSHIP
from cumulet.settings import Settings

SUPERVISOR = "supervisor"
OBJECTS = "objects"
FILE_NAME = "cumulet.db"  # where a control plane without PostgreSQL has its state


class Part(msgspec.Struct, frozen=True):
    """One process: its name, the command that runs it with these words, and what a user calls it."""

    name: str
    command: str
    title: str
    words: tuple[str, ...] = ()


PARTS = (
    Part("control", "serve", "control plane"),
    Part("agent", "agent", "agent"),
    Part("data", "data", "data process"),
    Part("objects", "objects", "object store"),
)


def of(settings: Settings) -> tuple[Part, ...]:
    """The parts that this machine has: those of a cloud, or of a host that has joined another machine's."""
    if is_host_alone(settings):
        agent = tuple(part for part in PARTS if part.name == "agent")
        return agent + (workers(settings) if settings.object_store.devices else ())
    return tuple(part for part in PARTS if part.name != OBJECTS) + workers(settings)


def workers(settings: Settings) -> tuple[Part, ...]:
    """The object store's processes, none where it is not there."""
    count = settings.object_store.workers
    if not settings.object_store.enabled:
        return ()
    if count == 1:
        return tuple(part for part in PARTS if part.name == OBJECTS)
    return tuple(
        Part(f"{OBJECTS}-{number}", OBJECTS, f"object store {number}", ("--worker", str(number)))
        for number in range(count)
    )


def is_host_alone(settings: Settings) -> bool:
    """Whether this machine has joined the cloud of another one, and has no control plane of its own."""
    joined = (settings.state / "agent" / MEMBERSHIP).is_dir()
    return joined and not settings.database.url and not (settings.state / FILE_NAME).exists()


def names(settings: Settings) -> list[str]:
    """What any processes of this machine may be called, also those that the settings do not have any more."""
    former = {path.stem for path in settings.run.glob(f"{OBJECTS}-*.lock")}
    return list(dict.fromkeys([*(part.name for part in (*PARTS, *of(settings))), *sorted(former)]))


def is_objects(name: str) -> bool:
    """Whether the part `name` is one of the object store's."""
    return name.partition("-")[0] == OBJECTS


State = Literal["starting", "running", "waiting", "failed", "stopped"]


class PartStatus(msgspec.Struct, kw_only=True):
    """A part as its supervisor sees it. `since` is in seconds since the epoch; `restarts` counts unasked-for ones."""

    name: str
    state: State = "stopped"
    pid: int | None = None
    since: float = 0.0
    restarts: int = 0
    last_exit: int | None = None


class Overview(msgspec.Struct, kw_only=True):
    """What the supervisor writes down whenever something changes."""

    pid: int
    parts: list[PartStatus]


def log_path(settings: Settings, name: str) -> Path:
    """Where a part's words go."""
    return settings.state / "log" / f"{name}.log"


def lock_path(settings: Settings, name: str) -> Path:
    """The lock that the part (or the supervisor) holds while it lives."""
    return settings.state / lock.AGENT if name == "agent" else settings.run / f"{name}.lock"


def overview_path(settings: Settings, supervisor: str = SUPERVISOR) -> Path:
    """Where the supervisor writes its overview."""
    return settings.run / f"{supervisor}.json"


def supervisor_pid(settings: Settings) -> int | None:
    """The running supervisor's process id, or None."""
    return lock.owner(lock_path(settings, SUPERVISOR))


def overview(settings: Settings) -> Overview | None:
    """The parts as the running supervisor last saw them; None while there is none."""
    if supervisor_pid(settings) is None:
        return None
    try:
        return msgspec.json.decode(overview_path(settings).read_bytes(), type=Overview)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def command(flags: Sequence[str], name: str, *words: str) -> list[str]:
    """The command line that runs `cumulet NAME` with this Python and these settings."""
    return [sys.executable, "-m", "cumulet.cli", *flags, name, *words]


class Readiness(msgspec.Struct, frozen=True):
    """The control plane's answer to whether all is there: `parts` by name (database, agent, data)."""

    ready: bool = False
    parts: dict[str, bool] = {}


def readiness(settings: Settings, timeout: float = 5.0) -> Readiness | None:
    """Ask the control plane; None while it does not answer."""
    answer = _get(settings.control.host, settings.control.port, "/readyz", timeout)
    if not isinstance(answer, dict):
        return None
    try:
        return msgspec.convert(answer, Readiness)
    except msgspec.ValidationError:
        return None


def objects_answer(settings: Settings, timeout: float = 5.0) -> bool:
    """Whether the object store's process is at work."""
    answer = _get(settings.objects.host, settings.objects.port, "/healthz", timeout)
    return isinstance(answer, dict) and answer.get("status") == "alive"


def answers(settings: Settings, name: str) -> bool:
    """Whether the object store's worker `name` serves."""
    return _workers_away(settings, name) is not None


def reaches_others(settings: Settings, name: str) -> bool:
    """Whether the object store's worker `name` serves, and has the devices of all others at hand."""
    return _workers_away(settings, name) == []


def _workers_away(settings: Settings, name: str, timeout: float = 2.0) -> list[int] | None:
    try:
        away: list[int] = door.ask(door.path_of(settings.run, name), "workers.away", timeout=timeout)
    except (NotReady, door.DoorError, TimeoutError):
        return None
    return away


def _get(host: str, port: int, path: str, timeout: float) -> Any:
    connection = HTTPConnection(reachable(host), port, timeout=timeout)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()


def reachable(host: str) -> str:
    """An address at which to reach what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def memory(pid: int) -> int | None:
    """A process's resident memory in bytes, or None where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return None
