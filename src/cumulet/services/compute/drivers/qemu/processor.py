# SPDX-License-Identifier: Apache-2.0
"""The processor that guests see: its model with the flags that the settings add or take, and the features it has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cumulet.kernel import run
from cumulet.services.compute.drivers.qemu.command_line import PROGRAM

TIMEOUT = 20.0
_NATIVE = "host"


def argument(model: str, flags: Sequence[str], accelerator: str) -> str:
    """What `-cpu` is told; "" for the accelerator's own. A flag is `name`, `+name` or `-name`."""
    if not model and not flags:
        return ""
    name = model or (_NATIVE if accelerator == "kvm" else "qemu64")
    return ",".join([name, *(f"{flag.lstrip('+-')}={'off' if flag.startswith('-') else 'on'}" for flag in flags)])


def features(cpu: str, accelerator: str) -> list[str]:
    """What guests get of a processor's features, under QEMU's names, asked of a QEMU without a machine.

    Raises CommandFailed, for a model that QEMU does not know too.
    """
    name, *flags = cpu.split(",")
    props = {flag.partition("=")[0]: flag.endswith("=on") for flag in flags}
    model: dict[str, Any] = {"name": name, **({"props": props} if props else {})}
    questions = [
        {"execute": "qmp_capabilities"},
        {"execute": "query-cpu-model-expansion", "arguments": {"type": "full", "model": model}, "id": "model"},
        {"execute": "query-cpu-definitions", "id": "all"},
        {"execute": "quit"},
    ]
    argv = [PROGRAM, "-accel", accelerator, "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none"]
    words = [*argv, "-qmp", "stdio"]
    done = run.run(words, stdin=b"".join(json.dumps(each).encode() for each in questions), timeout=TIMEOUT)
    answers = {answer.get("id"): answer for answer in map(json.loads, done.stdout.splitlines())}
    if "return" not in answers["model"]:
        raise run.CommandFailed(words, None, answers["model"]["error"]["desc"])
    # What the accelerator has not is masked in guests.
    masked = {
        feature
        for each in answers["all"].get("return", ())
        if each["name"] == name
        for feature in each.get("unavailable-features", ())
    }
    found = answers["model"]["return"]["model"]["props"]
    return sorted(feature for feature, value in found.items() if value is True and feature not in masked)
