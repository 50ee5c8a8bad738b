# SPDX-License-Identifier: Apache-2.0
"""Programs that work on devices until they are killed at a place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any


def killed(program: str, *words: str, faults: Path, place: str) -> list[Any]:
    """What the program `program` has said (lines of JSON) before it died at `place`, its last argument.

    It reads from the file `faults` where to die, once something is there.
    """
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    environment = {**os.environ, "CUMULET_FAULTS": str(faults), "PYTHONPATH": path}
    command = [sys.executable, program, *words, place]
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stdout[-300:]
    return [json.loads(line) for line in ended.stdout.splitlines()]
