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

from cumulet.kernel import lock
from cumulet.settings import Settings

SUPERVISOR = "supervisor"


class Part(msgspec.Struct, frozen=True):
    """One process: its name, the command that runs it, and what a user calls it."""

    name: str
    command: str
    title: str


PARTS = (
    Part("control", "serve", "control plane"),
    Part("agent", "agent", "agent"),
    Part("data", "data", "data process"),
)

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


def overview_path(settings: Settings) -> Path:
    """Where the supervisor writes its overview."""
    return settings.run / "supervisor.json"


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
