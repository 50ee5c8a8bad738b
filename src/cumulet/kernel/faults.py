# SPDX-License-Identifier: Apache-2.0
"""Named places where a test may have the process killed, as a power cut would, or the work there refused.

The environment variable CUMULET_FAULTS names a file with one wish a line: a place, and what happens to the first who
comes by (`kill`, which may be left out, or `fail`). A wish that came true leaves the file, and the last one takes the
file along. Where a file of the same name and the ending `.seen` exists, every place that is come by is noted in it.
Without the variable a place costs one comparison.
"""

from __future__ import annotations

import fcntl
import os
import signal
from contextvars import ContextVar
from pathlib import Path

from cumulet.kernel.errors import Conflict

_FILE = os.environ.get("CUMULET_FAULTS")

# The verb of a host that is being carried out in this thread, for places that know no better name (`inside`).
verb: ContextVar[str] = ContextVar("verb", default="")


def point(name: str) -> None:
    """Die here if a test asked for it; or raise Conflict, as a step that cannot be done does."""
    if _FILE is None:
        return
    path = Path(_FILE)
    _note(path.with_name(f"{path.name}.seen"), name)
    action = _granted(path, name)
    if action == "fail":
        raise Conflict(f"A test asked for a failure at {name}.", code="InjectedFault")
    if action is not None:
        os.kill(os.getpid(), signal.SIGKILL)


def inside() -> None:
    """The place `<verb>:inside`: something durable was just done for a verb that has not ended."""
    if _FILE is not None and (name := verb.get()):
        point(f"{name}:inside")


def _granted(path: Path, name: str) -> str | None:
    """Take the first wish for this place out of the file; what shall happen."""
    try:
        with path.open("r+") as wishes:
            fcntl.flock(wishes, fcntl.LOCK_EX)
            lines = [line for line in wishes.read().splitlines() if line.strip()]
            found = next((line for line in lines if line.split()[0] == name), None)
            if found is None:
                return None
            lines.remove(found)
            wishes.seek(0)
            wishes.truncate()
            wishes.write("".join(f"{line}\n" for line in lines))
            if not lines:
                path.unlink(missing_ok=True)
    except FileNotFoundError:
        return None
    return (found.split()[1:] or ["kill"])[0]


def _note(seen: Path, name: str) -> None:
    if seen.exists():
        with seen.open("a") as notes:
            notes.write(f"{name}\n")
