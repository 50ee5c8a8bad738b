# SPDX-License-Identifier: Apache-2.0
"""`cumulet up`: starts what does not run yet, waits until all is ready, and says how to use the cloud."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

from cumulet.cli import Call, credentials, guest, parts, seed
from cumulet.cli.show import Phases
from cumulet.cli.supervise import supervise
from cumulet.kernel import door, lock
from cumulet.kernel import run as programs
from cumulet.kernel.errors import NotReady
from cumulet.settings import Settings

STEP = 0.05  # seconds between two looks
RETRY_TIMEOUT = 5.0  # seconds that the supervisor may take to hear that it shall try again
WORDS = 15  # lines of a failed part's log that are shown


class NotUp(Exception):
    """The cloud did not come up; the message says which part, and its last words."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("--foreground", action="store_true", help="stay, and stop the cloud at the end")
    parser.add_argument("--no-wait", action="store_true", help="return as soon as the parts are started")
    parser.add_argument("--no-seed", action="store_true", help="make no image, flavors and public network")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="how long to wait")


def run(call: Call) -> int:
    """Bring the cloud up."""
    if call.arguments.foreground:
        return _foreground(call)
    try:
        _start(call)
        if not call.arguments.no_wait:
            _complete(call)
    except NotUp as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    return 0


def _foreground(call: Call) -> int:
    """Supervise in this process; the rest happens in a thread beside it."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    failed: list[str] = []

    def complete() -> None:
        try:
            _complete(call)
        except NotUp as error:
            failed.append(str(error))
            os.kill(os.getpid(), signal.SIGTERM)

    if not call.arguments.no_wait:
        threading.Thread(target=complete, daemon=True).start()
    try:
        supervise(call.settings, call.flags)
    except lock.Held as error:
        failed.append(f"this cloud runs already: {error}")
    for text in failed:
        print(f"cumulet: {text}", file=sys.stderr)
    return 1 if failed else 0


def _start(call: Call) -> None:
    settings = call.settings
    pid = parts.supervisor_pid(settings)
    if pid:
        _try_again(settings, pid)
        return
    try:
        (settings.state / "log").mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise NotUp(f"the state directory cannot be made: {error}; choose another by --state") from error
    log = parts.log_path(settings, parts.SUPERVISOR)
    process = programs.spawn(parts.command(call.flags, "supervise"), log=log)
    end = time.monotonic() + call.arguments.timeout
    while parts.overview(settings) is None:
        if process.poll() is not None or time.monotonic() > end:
            raise NotUp(f"the supervisor did not start:\n{last_words(log)}")
        time.sleep(STEP)


def _try_again(settings: Settings, pid: int) -> None:
    """Have the supervisor start what it had given up."""
    os.kill(pid, signal.SIGHUP)
    end = time.monotonic() + RETRY_TIMEOUT
    while (view := parts.overview(settings)) and any(each.state == "failed" for each in view.parts):
        if time.monotonic() > end:
            return
        time.sleep(STEP)


def _complete(call: Call) -> None:
    settings, phases = call.settings, Phases()
    end = time.monotonic() + call.arguments.timeout
    if parts.is_host_alone(settings):
        _complete_host(settings, phases, end)
        return
    with phases.phase("control plane"):
        _await(settings, "control", "database", end)
    with phases.phase("agent"):
        _await(settings, "agent", "agent", end)
    with phases.phase("data process"):
        _await(settings, "data", "data", end)
    _await_store(settings, phases, end)
    try:
        credentials.write(settings)
    except credentials.NoCredentials as error:
        raise NotUp(str(error)) from error
    if not call.arguments.no_seed:
        try:
            _fill(settings, phases)
        except seed.NotFilled as error:
            raise NotUp(str(error)) from error
    _explain(settings)


def _complete_host(settings: Settings, phases: Phases, end: float) -> None:
    """Of a host that has joined the cloud of another machine."""
    with phases.phase("agent"):
        _await(settings, "agent", "link", end)
    _await_store(settings, phases, end)
    print(f"\nHost {settings.host} is a part of its cloud. `cumulet status` shows how it is.")


def _await_store(settings: Settings, phases: Phases, end: float) -> None:
    store = [part.name for part in parts.of(settings) if parts.is_objects(part.name)]
    if store:
        with phases.phase("object store"):
            for name in store:
                _await(settings, name, name, end)


def _await(settings: Settings, name: str, part: str, end: float) -> None:
    """Wait until `part` is there, as long as the process `name` is not given up."""
    while True:
        if _is_there(settings, part):
            return
        view = parts.overview(settings)
        status = next((each for each in view.parts if each.name == name), None) if view else None
        if status is not None and status.state == "failed":
            raise NotUp(f"{name} does not start:\n{last_words(parts.log_path(settings, name))}")
        if time.monotonic() > end:
            raise NotUp(f"{name} is not ready in time:\n{last_words(parts.log_path(settings, name))}")
        time.sleep(STEP)


def _is_there(settings: Settings, part: str) -> bool:
    """As the control plane says; the object store, which it does not need, speaks for itself."""
    if parts.is_objects(part):
        return parts.reaches_others(settings, part) and parts.objects_answer(settings)
    if part == "link":
        return _is_linked(settings)
    answer = parts.readiness(settings)
    return answer is not None and bool(answer.parts.get(part))


def _is_linked(settings: Settings) -> bool:
    try:
        link = door.ask(door.path_of(settings.run, f"agent-{settings.host}"), "link", timeout=5.0)
    except (NotReady, door.DoorError, TimeoutError):
        return False
    return bool(link and link["way"])


def _fill(settings: Settings, phases: Phases) -> None:
    if seed.is_done(settings):
        return
    if not seed.client_is_there():
        print("  the cloud is left empty: install the client (cumulet[client]), then run `cumulet seed`")
        return
    with phases.phase("guest image") as phase:
        image = guest.find_or_build(settings, phase)
    with phases.phase("image, flavors, public network") as phase:
        phase.detail = ", ".join(seed.seed(settings, image)) or "all there"


def _explain(settings: Settings) -> None:
    beside = Path(sys.executable).with_name("openstack")
    program = str(beside) if beside.exists() else "openstack"
    clouds = credentials.clouds_path(settings)
    print(f"\nThe cloud is ready at {settings.control_url}. Its credentials are in {settings.state}:")
    print(f"  export OS_CLIENT_CONFIG_FILE={clouds} OS_CLOUD={credentials.CLOUD}   # or: . {settings.state}/openrc")
    print(f"  {program} server list")


def last_words(log: Path) -> str:
    """The end of a log, for those who have to know why."""
    with contextlib.suppress(FileNotFoundError):
        lines = log.read_text(errors="replace").splitlines()[-WORDS:]
        return "\n".join(f"  {line}" for line in [*lines, f"(the whole log: {log})"])
    return f"  {log} is not there"
