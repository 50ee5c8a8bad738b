# SPDX-License-Identifier: Apache-2.0
"""Packets of ports written down: those that their security groups let begin a connection, and those that are dropped.

The bridge's filter hands them over by NFLOG, with a prefix that says what became of them, at which port, and by which
group; all of a host no faster than a limit, which is Neutron's. Rules of a group whose packets are logged at a port
stand there a second time, in chains of the port's own. A file of the host takes the lines, and turns when it is full.

LIMITATIONS: what anti-spoofing drops, and packets of no connection, are not logged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import msgspec

from cumulet.services.network.drivers.fabric import nflog, packets
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.options import FabricOptions
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.types import GroupState, HostState, PortState
from cumulet.services.network.types.packet_logs import ACCEPT, DROP

LOG = logging.getLogger(__name__)

GROUP = 1  # of NFLOG; it is the namespace's own
LENGTH = 128  # bytes of a packet that are shown
_LIMIT = "packet_logs"
_KEY = "packet logs"  # among the ears

Chains = dict[str, tuple[str, ...]]


def without(state: HostState) -> HostState:
    """The same for a kernel that hands no packets over: its filter must not fail for that."""
    return msgspec.structs.replace(state, ports=[msgspec.structs.replace(port, logs=[]) for port in state.ports])


def limit(ports: Iterable[PortState], rate: int, burst: int) -> str:
    """The limit of all, for the table's text; "" where nothing is logged."""
    text = f"limit {_LIMIT} {{ rate {rate}/second burst {burst} packets; }}\n"
    return text if any(port.logs for port in ports) else ""


def accepting(port: PortState, groups: Mapping[str, GroupState]) -> tuple[GroupState, ...]:
    """The port's groups whose accepted packets are logged."""
    if not port.logs:
        return ()
    return tuple(
        groups[key] for key in port.groups if key in groups and any(log.wants(ACCEPT, key) for log in port.logs)
    )


def chain(port: PortState, group: str, letter: str) -> str:
    """The chain of the group's rules for the port; `letter` is `e` for what leaves, `i` for what comes."""
    is_logged = any(log.wants(ACCEPT, group) for log in port.logs)
    return f"{letter}l-{port.id}-{group}" if is_logged else f"{letter}-{group}"


def dropped(port: PortState) -> tuple[str, ...]:
    """What stands before the drop at the end of the port's chains."""
    return (_log(f"{DROP} {port.id}"),) if any(log.wants(DROP) for log in port.logs) else ()


def copies(port: PortState, group: str, rules: Mapping[str, tuple[str, ...]]) -> Chains:
    """The chains of a group whose accepted packets are logged at the port; `rules` are its own, by letter."""
    accepted = f"al-{port.id}-{group}"
    found: Chains = {accepted: (_log(f"{ACCEPT} {port.id} {group}"), "accept")}
    for letter, lines in rules.items():
        found[chain(port, group, letter)] = tuple(f"{line.removesuffix('accept')}goto {accepted}" for line in lines)
    return found


def _log(prefix: str) -> str:
    return f'limit name "{_LIMIT}" log prefix "{prefix}" group {GROUP} snaplen {LENGTH}'


class PacketLogs(Stage):
    """Hears what the filter hands over while any port is logged, and writes it down."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._ports: dict[str, PortState] = {}
        self._file = File(ground.options)

    def plug(self, links: Links, run: Run) -> None:
        able = "packet_logs" not in self._ground.capabilities.missing
        self._ports = {port.id: port for port in run.state.ports if port.logs and able}
        ears = self._ground.ears
        if not self._ports:
            ears.forget(_KEY)
            self._file.close()
        elif _KEY not in ears:
            try:
                ears.hear(_KEY, nflog.listen(GROUP, LENGTH), lambda sock: self._take(nflog.packets(sock)))
            except OSError as error:
                LOG.warning("%s", error)

    def _take(self, found: Iterable[nflog.Logged]) -> None:
        for each in found:
            for line in lines(self._ports, each):
                self._file.write(line)


def lines(ports: Mapping[str, PortState], logged: nflog.Logged) -> Iterable[str]:
    """What is written of a packet: a line for each project that logs it."""
    action, _, rest = logged.prefix.partition(" ")
    port_id, _, group = rest.partition(" ")
    port = ports.get(port_id)
    wanted: dict[str, list[str]] = {}
    for log in port.logs if port is not None else ():
        if log.wants(action, group):
            wanted.setdefault(log.project_id, []).append(log.id)
    for project_id, logs in wanted.items():
        text = packets.described(logged.link, logged.protocol, logged.payload)
        yield f"action={action} project_id={project_id} log_resource_ids={logs} vm_port={port_id} pkt={text}"


class File:
    """The file of all lines, which is made with the first of them; nobody but the agent's user reads it."""

    def __init__(self, options: FabricOptions) -> None:
        self._path = Path(options.packet_log)
        self._most = options.packet_log_size
        self._keep = options.packet_log_keep
        self._open: IO[bytes] | None = None
        self._is_broken = False

    def write(self, line: str) -> None:
        """Add a line with the time before it. A disk that takes none costs the line."""
        now = time.time()
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}"
        try:
            self._put(f"{moment} {line}\n".encode())
            self._is_broken = False
        except OSError as error:
            if not self._is_broken:
                LOG.warning("packets are not logged: %s", error)
            self._is_broken = True
            self.close()

    def close(self) -> None:
        if self._open is not None:
            with contextlib.suppress(OSError):
                self._open.close()
        self._open = None

    def _put(self, data: bytes) -> None:
        if self._open is not None and self._open.tell() + len(data) > self._most:
            self._turn()
        if self._open is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._open = os.fdopen(handle, "ab", buffering=0)
        self._open.write(data)

    def _turn(self) -> None:
        """`packets.log` becomes `packets.log.1`, and so on; the oldest goes."""
        self.close()
        files = [self._path, *(Path(f"{self._path}.{number}") for number in range(1, self._keep + 1))]
        for older, newer in zip(reversed(files[1:]), reversed(files[:-1]), strict=True):
            if newer.exists():
                newer.replace(older)
        if not self._keep:
            self._path.unlink(missing_ok=True)
