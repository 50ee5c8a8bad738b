# SPDX-License-Identifier: Apache-2.0
"""What an operator may say about the fabric of one host."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec


class FabricOptions(msgspec.Struct, kw_only=True, frozen=True):
    """`mark` sets this installation's devices apart (six characters).

    The network `physical` is joined to the host by one cable, on which the host has `host_address` (with prefix; ""
    leaves the cable out). Guests may reach the host's TCP ports `host_services` there. `egress` says whether `pasta`,
    where it is installed, carries guests' packets to the outside world as if they were the host's own. `resolvers` are
    the DNS servers that are asked what networks do not know. Tunnels to other hosts begin at the host's own address
    `endpoint` (IPv4), UDP port `tunnel_port`; "" leaves networks on the host. `devices` are devices of the host that
    lead to physical networks, by the network's name: they are taken into the fabric, and given back at shutdown.
    Packets that ports log are written to the file `packet_log`, no more of them than `packet_log_rate` in a second, and
    `packet_log_burst` at once; when it has `packet_log_size` bytes, it becomes one of `packet_log_keep` others.
    Hosts tell each other at UDP port `ha_port` which routers forward there.
    `apart` leaves the host's own namespace alone: the end of its cable lies in a namespace that stands for it.
    """

    mark: str
    physical: str = "public"
    host_address: str = "172.24.4.1/24"
    host_services: tuple[int, ...] = ()
    egress: bool = True
    resolvers: tuple[str, ...] = ()
    devices: Mapping[str, str] = {}
    endpoint: str = ""
    tunnel_port: int = 4789
    ha_port: int = 4799
    apart: bool = False
    packet_log: str = os.devnull
    packet_log_size: int = 1 << 24
    packet_log_keep: int = 3
    packet_log_rate: int = 100
    packet_log_burst: int = 25
