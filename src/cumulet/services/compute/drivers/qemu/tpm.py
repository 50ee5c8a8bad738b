# SPDX-License-Identifier: Apache-2.0
"""A server's TPM: a swtpm beside its QEMU, bound to it by one stream, which ends with it.

The state lies in the server's folder and goes where the folder goes. The two know nothing of each other but the
stream: no socket lies about that another process could open, and where QEMU ends swtpm does. One that QEMU never spoke
to has to be ended.
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from cumulet.kernel import detached
from cumulet.kernel.errors import Conflict
from cumulet.kernel.qmp import listen

PROGRAM = "swtpm"
STATE = "tpm"
PID_FILE = "tpm.pid"
LOG = "tpm.log"
SOCKET = "tpm.sock"  # where somebody else starts the server's QEMU
END_TIMEOUT = 2.0  # seconds after its QEMU's


def is_here() -> bool:
    return shutil.which(PROGRAM) is not None


def start(folder: Path, version: str) -> socket.socket:
    """Start the TPM of the server in `folder`; the end of the stream that QEMU inherits, owned by the caller.

    Conflict where the host has no swtpm.
    """
    mine, theirs = socket.socketpair()
    with theirs:
        _launch(folder, version, f"clientfd={theirs.fileno()}", theirs.fileno())
    return mine


def listen_at(folder: Path, version: str) -> None:
    """Start the TPM of the server in `folder`, which waits there for a QEMU that somebody else starts; as `start`."""
    with listen(folder / SOCKET) as waiting:
        _launch(folder, version, f"fd={waiting.fileno()}", waiting.fileno())


def _launch(folder: Path, version: str, control: str, inherited: int) -> None:
    if not is_here():
        raise Conflict("This host has no emulated TPMs: swtpm is missing", code="UnsupportedHardware")
    end(folder)
    state = folder / STATE
    state.mkdir(exist_ok=True, mode=0o700)
    words = [PROGRAM, "socket", "--tpmstate", f"dir={state},mode=0600", "--terminate"]
    words += ["--ctrl", f"type=unixio,{control}", "--pid", f"file={folder / PID_FILE}"]
    detached.launch([*words, *(["--tpm2"] if version == "2.0" else [])], folder / LOG, [inherited])


def end(folder: Path, timeout: float = END_TIMEOUT) -> None:
    """See that the TPM of a server whose QEMU does not run is gone: it would hold on to the state."""
    if not (folder / STATE).exists():
        return
    running = detached.Process.of(folder / PID_FILE)
    if running is not None:
        with running:
            if not running.wait(timeout):
                running.kill()
