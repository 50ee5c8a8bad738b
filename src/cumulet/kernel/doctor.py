# SPDX-License-Identifier: Apache-2.0
"""What a health probe is: `services/<type>/doctor.py` exports `probes(settings) -> list[Probe]`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

Status = Literal["ok", "degraded", "missing"]


class Finding(msgspec.Struct, frozen=True):
    """What a probe found.

    degraded: the cloud runs, with less (slower, without a feature). missing: it cannot run. `detail` says what is
    there; `remedy` is the command that mends it, empty where there is none.
    """

    status: Status
    detail: str
    remedy: str = ""


class Probe(msgspec.Struct, frozen=True):
    """A named check of this machine. It tries the thing itself, changes nothing, and may take some seconds."""

    name: str
    check: Callable[[], Finding]


def examine(probe: Probe) -> Finding:
    """What the probe finds; a probe that fails has found something missing."""
    try:
        return probe.check()
    except Exception as error:
        return Finding("missing", f"the probe failed: {type(error).__name__}: {error}")
