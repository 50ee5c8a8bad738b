# SPDX-License-Identifier: Apache-2.0
"""Networks of the outside world as the settings name them: which there are, and what leads to them."""

from __future__ import annotations

from collections.abc import Iterable

ANY = "*"  # in place of names: whatever is asked for
FIRST_VLAN, LAST_VLAN = 1, 4094


def vlan_ranges(texts: Iterable[str]) -> dict[str, list[range]]:
    """The numbers that networks get without asking, by physical network: none of one without `:first:last`."""
    found: dict[str, list[range]] = {}
    for text in texts:
        name, _, numbers = text.partition(":")
        own = found.setdefault(name, [])
        if numbers:
            first, _, last = numbers.partition(":")
            own.append(range(int(first), int(last) + 1))
    return found


def mappings(texts: Iterable[str]) -> dict[str, str]:
    """The host's device for each physical network."""
    return {name: device for name, _, device in (text.partition(":") for text in texts)}
