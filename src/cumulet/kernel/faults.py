# SPDX-License-Identifier: Apache-2.0
"""Named places where a test may have the process killed, as a power cut would.

The environment variable CUMULET_FAULTS names a file. When a place is reached whose name is that file's content, the
file is removed and the process is gone at once. Without the variable a place costs one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

_FILE = os.environ.get("CUMULET_FAULTS")


def point(name: str) -> None:
    """Die here if a test asked for it."""
    if _FILE is None:
        return
    path = Path(_FILE)
    try:
        asked = path.read_text().strip()
    except FileNotFoundError:
        return
    if asked == name:
        path.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
