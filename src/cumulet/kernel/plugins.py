# SPDX-License-Identifier: Apache-2.0
"""Parts that other packages bring along, found by their entry points: nothing is loaded but what settings name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any


def load(group: str, name: str) -> Any:
    """What the entry point `name` of `group` points at; LookupError where no installed package has such a one."""
    found = list(entry_points(group=group, name=name))
    if not found:
        raise LookupError(f"no installed package offers {name} of {group}")
    return found[0].load()
