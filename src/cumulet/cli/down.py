# SPDX-License-Identifier: Apache-2.0
"""`cumulet down`: stops the parts, then the servers and networks of this host. Data stays."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time

from cumulet.cli import Call, parts
from cumulet.cli.show import Phases
from cumulet.cli.supervise import STOP_TIMEOUT
from cumulet.kernel import lock
from cumulet.kernel.run import run as run_program
from cumulet.settings import Settings

DRAIN_TIMEOUT = 300.0  # seconds: guests shut down side by side, each within its own limit
STEP = 0.05


class StillRuns(Exception):
    """Something could not be stopped."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(call: Call) -> int:
    """Stop everything."""
    try:
        stop(call)
    except StillRuns as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    return 0


def stop(call: Call, *, at_once: bool = False) -> None:
    """Stop all parts, supervised or not, and what they left on the host. Raises StillRuns.

    Guests shut down by themselves, unless what they keep is not wanted: then they end `at_once`.
    """
    settings, phases = call.settings, Phases()
    if not settings.state.exists():
        print(f"There is no cloud in {settings.state}.")
        return
    with phases.phase("control plane, agent, data process, object store") as phase:
        phase.detail = "stopped" if _stop_parts(settings) else "were not running"
    with phases.phase("servers and networks"):
        flags = (*call.flags, *(("--set", "compute.stop_timeout=0") if at_once else ()))
        done = run_program(parts.command(flags, "agent", "--drain"), timeout=DRAIN_TIMEOUT, check=False)
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip()[-2000:]
            raise StillRuns(f"something stays on this host:\n{words}")


def _stop_parts(settings: Settings) -> bool:
    names = [parts.SUPERVISOR, *parts.names(settings)]
    # The supervisor first: it would start the others again. What remains was started by hand.
    ended = [_end(settings, name) for name in names]
    return any(ended)


def _end(settings: Settings, name: str) -> bool:
    path = parts.lock_path(settings, name)
    pid = lock.owner(path)
    if pid is None:
        return False
    if pid == 0:
        raise StillRuns(f"a process that cannot be told holds {path}")
    for number, patience in ((signal.SIGTERM, STOP_TIMEOUT + 5), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if lock.owner(path) is None:
                return True
            time.sleep(STEP)
    raise StillRuns(f"{name} (process {pid}) cannot be stopped")
