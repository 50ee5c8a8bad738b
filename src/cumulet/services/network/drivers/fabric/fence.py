# SPDX-License-Identifier: Apache-2.0
"""What keeps a router that stands by from saying or forwarding anything: the kernel drops all at its plugs.

The plugs that may are in a set from which the kernel itself takes them after a while: an agent that is gone, or hangs,
cannot leave a router that answers. Called in the fabric's namespace.
"""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.services.network.drivers.fabric import nft
from cumulet.services.network.drivers.fabric.election import LEASE

TABLE = "cumulet_ha"

_TEXT = """
add table bridge {table}
delete table bridge {table}
table bridge {table} {{
chain {stamp} {{ }}
set guarded {{ type ifname; {guarded} }}
set live {{ type ifname; flags timeout; {live} }}
chain from {{ type filter hook prerouting priority -310; iifname @guarded iifname != @live drop; }}
chain to {{ type filter hook postrouting priority -10; oifname @guarded oifname != @live drop; }}
}}
"""


def guard(plugs: Iterable[str], live: Iterable[str]) -> bool:
    """Fence these plugs, but for those of them that are `live`; False where nothing had to be done."""
    listed = sorted(plugs)
    standing = nft.chains("bridge", TABLE)
    if not listed:
        return nft.remove("bridge", TABLE)
    mark = stamp(listed)
    if mark in standing:
        return False
    nft.load(_TEXT.format(table=TABLE, stamp=mark, guarded=_elements(listed), live=_elements(_leases(live))))
    return True


def renew(live: Iterable[str]) -> None:
    """Let these plugs speak for LEASE seconds from now, and no other."""
    listed = list(_leases(live))
    text = f"flush set bridge {TABLE} live\n"
    if listed:
        text += f"add element bridge {TABLE} live {{ {', '.join(listed)} }}\n"
    nft.load(text)


def stamp(plugs: Iterable[str]) -> str:
    """The name of the empty chain that tells which plugs are fenced."""
    return "v" + nft.digest("\n".join(plugs))


def text() -> str:
    """A table, to see whether the kernel takes it."""
    return _TEXT.format(table="probe_ha", stamp="v0", guarded=_elements(["a"]), live=_elements(_leases(["a"])))


def _leases(live: Iterable[str]) -> Iterable[str]:
    return (f'"{plug}" timeout {int(LEASE * 1000)}ms' for plug in sorted(live))


def _elements(items: Iterable[str]) -> str:
    joined = ", ".join(item if item.startswith('"') else f'"{item}"' for item in items)
    return f"elements = {{ {joined} }};" if joined else ""
