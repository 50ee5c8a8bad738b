# SPDX-License-Identifier: Apache-2.0
"""What an operator may say about the fabric of one host."""

from __future__ import annotations

import msgspec


class FabricOptions(msgspec.Struct, kw_only=True, frozen=True):
    """`mark` sets this installation's devices apart (six characters).

    The network `physical` is joined to the host by one cable, on which the host has `host_address` (with prefix; ""
    leaves the cable out). Guests may reach the host's TCP ports `host_services` there. `egress` says whether `pasta`,
    where it is installed, carries guests' packets to the outside world as if they were the host's own. `resolvers` are
    the DNS servers of guests whose subnet names none. Tunnels to other hosts begin at the host's own address `endpoint`
    (IPv4), UDP port `tunnel_port`; "" leaves networks on the host. `external_device` is a device of the host that leads
    to the outside of the physical network: it is taken into the fabric, and given back at shutdown.
    `apart` leaves the host's own namespace alone: the end of its cable lies in a namespace that stands for it.
    """

    mark: str
    physical: str = "public"
    host_address: str = "172.24.4.1/24"
    host_services: tuple[int, ...] = ()
    egress: bool = True
    resolvers: tuple[str, ...] = ()
    external_device: str = ""
    endpoint: str = ""
    tunnel_port: int = 4789
    apart: bool = False
