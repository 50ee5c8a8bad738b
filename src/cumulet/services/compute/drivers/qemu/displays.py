# SPDX-License-Identifier: Apache-2.0
"""A server's consoles on QEMU: the arguments that make them, and streams to them.

VNC and SPICE listen at sockets in the server's folder, which QEMU names by an inherited descriptor of the folder: names
of UNIX sockets are short. The serial port's socket is that of its log.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from cumulet.kernel.errors import Conflict
from cumulet.kernel.qmp import connect
from cumulet.services.compute.types import DISPLAYS, Display

SOCKETS: dict[Display, str] = {"vnc": "vnc.sock", "spice": "spice.sock", "serial": "serial.sock"}


def arguments(displays: Sequence[Display], folder: int, *, card: bool) -> list[str]:
    """Displays in the folder behind the descriptor; with `card`, a plain one for the guest to draw on."""
    here = f"/proc/self/fd/{folder}"
    words: list[str] = []
    if "vnc" in displays:
        words += ["-vnc", f"unix:{here}/{SOCKETS['vnc']}"]
    if "spice" in displays:
        words += ["-spice", f"unix=on,addr={here}/{SOCKETS['spice']},disable-ticketing=on,seamless-migration=off"]
    if card and words:
        words += ["-device", "VGA,id=video0"]
    return words


def found(folder: Path, wanted: Sequence[Display], *, runs: bool) -> tuple[Display, ...]:
    """Those of the server in `folder`: of one that runs what it was started with, else what is `wanted`."""
    return tuple(each for each in DISPLAYS if ((folder / SOCKETS[each]).exists() if runs else each in wanted))


def connect_to(folder: Path, display: Display) -> socket.socket:
    """A new stream to a console of the server in `folder`. Conflict where there is no such console."""
    try:
        return connect(folder / SOCKETS[display])
    except OSError:
        raise Conflict(f"the server has no {display} console", code="ConsoleTypeUnavailable") from None


def open_folder(folder: Path) -> int:
    """A descriptor for `arguments`, to be inherited by QEMU; what a killed one has left there is removed."""
    for display in ("vnc", "spice"):
        (folder / SOCKETS[display]).unlink(missing_ok=True)
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
