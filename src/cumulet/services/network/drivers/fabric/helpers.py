# SPDX-License-Identifier: Apache-2.0
"""The kernel's readers of connections that announce others (conntrack helpers), for routers."""

from __future__ import annotations

from collections.abc import Collection

from cumulet.services.network.drivers.fabric import nft
from cumulet.services.network.types import HelperState
from cumulet.services.network.types.conntrack_helpers import ALLOWED

# What the kernel calls the parts of H.323.
_KERNELS = {("h323", "udp"): "RAS", ("h323", "tcp"): "Q.931"}

_OBJECT = """ct helper {key} {{
type "{kind}" protocol {protocol};
}}
"""
# Before addresses are translated, and once connections are known.
_CHAIN = """chain help {{
type filter hook prerouting priority mangle;
{rules}
}}
"""


def rules(helpers: Collection[HelperState], known: Collection[str]) -> str:
    """What a router's inet table has of the helpers that the kernel knows; nothing where there are none."""
    used = sorted({one for one in helpers if _name(one) in known}, key=lambda one: (_key(one), one.port))
    if not used:
        return ""
    objects = {_key(one): _OBJECT.format(key=_key(one), kind=_kind(one), protocol=one.protocol) for one in used}
    lines = (f'{one.protocol} dport {one.port} ct helper set "{_key(one)}"' for one in used)
    return "".join(objects.values()) + _CHAIN.format(rules="\n".join(lines))


def probe() -> list[str]:
    """The helpers that the kernel takes, each with its protocol (`ftp:tcp`), in the calling thread's namespace."""
    found = []
    for name, protocols in ALLOWED.items():
        for protocol in protocols:
            one = HelperState(name=name, protocol=protocol, port=1)
            text = rules([one], [_name(one)])
            if nft.accepts(f"table inet probe_{_key(one)} {{\n{text}}}\n") is None:
                found.append(_name(one))
    return found


def _name(one: HelperState) -> str:
    return f"{one.name}:{one.protocol}"


def _kind(one: HelperState) -> str:
    return _KERNELS.get((one.name, one.protocol), one.name)


def _key(one: HelperState) -> str:
    return f"{one.name.replace('-', '_')}_{one.protocol}"
