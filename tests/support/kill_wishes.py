# SPDX-License-Identifier: Apache-2.0
"""Places by which whoever comes is killed (`kernel.faults`), as a cloud's processes read them from a file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from support.waiting import until

LATE = 10.0  # seconds that a wish may take to come true after all else is at rest


def wish(faults: Path, *wishes: str) -> None:
    """Have whoever comes by these places killed there."""
    draft = faults.with_suffix(".new")
    draft.write_text("".join(f"{wish}\n" for wish in wishes))
    draft.rename(faults)


def ungranted(faults: Path, late: float = LATE) -> list[str]:
    """The wishes that have not come true; they are taken back.

    A flow is told to have ended before its process comes by the place behind that; and what hosts do without being
    waited for may come late on a busy machine.
    """
    with suppress(AssertionError):
        until(lambda: not _left(faults), late)
    left = _left(faults)
    faults.unlink(missing_ok=True)
    return left


def _left(faults: Path) -> list[str]:
    try:
        return faults.read_text().splitlines()
    except FileNotFoundError:
        return []
