# SPDX-License-Identifier: Apache-2.0
"""How a part that was started by the supervisor ends with it, however the supervisor ends."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1  # prctl(2)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The argument by which a supervisor names itself."""
    parser.add_argument("--parent", type=int, default=0, help=argparse.SUPPRESS)


def follow(parent: int) -> None:
    """Be sent SIGTERM when the process `parent` ends; SystemExit where it has ended already. 0 is nobody."""
    if not parent:
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the supervisor is gone")
