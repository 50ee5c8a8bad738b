# SPDX-License-Identifier: Apache-2.0
"""TCP connections that rules have ended: they go on where rules allow them again in time.

Nothing else takes them up: to a port, a packet in the middle of a connection that nobody knows says nothing of who
began it. UDP needs no such memory, for any packet begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cumulet.services.network.types.connections import Addresses, Connection, Judge, Suspects

MOST = 50_000
KEPT = 600.0  # seconds

_TCP = 6
_STANDING = range(3, 7)  # the kernel's numbers of states from ESTABLISHED to LAST_ACK; a handshake is begun anew


class Held(NamedTuple):
    """A connection, whose it was (`Judge.owners`), and until when it is remembered, in seconds of a monotonic clock."""

    one: Connection
    owners: frozenset[str]
    until: float


class Ended:
    """The MOST last of them; each is kept no longer than the kernel would have remembered it without a packet."""

    def __init__(self) -> None:
        self._held: dict[tuple[object, ...], Held] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def keep(self, ended: Iterable[Connection], before: Judge, after: Judge, now: float) -> None:
        """Remember those that rules ended: the ports that they belonged to `before` are all there `after` it."""
        for one in ended:
            owners = before.owners(one)
            if _can_go_on(one) and owners and all(after.knows(owner) for owner in owners):
                self._held.pop(_key(one), None)
                self._held[_key(one)] = Held(one, owners, now + min(KEPT, one.seconds))
        for key in list(self._held)[: max(len(self._held) - MOST, 0)]:
            del self._held[key]

    def forget(self, ports: Iterable[str], now: float) -> None:
        """Forget those of ports that are gone, and what nobody will come back to."""
        gone = frozenset(ports)
        self._held = {
            key: held for key, held in self._held.items() if held.until > now and gone.isdisjoint(held.owners)
        }

    def all(self) -> list[Held]:
        """What is remembered."""
        return list(self._held.values())

    def drop(self, taken: Iterable[Connection]) -> None:
        """Forget these, which go on."""
        for one in taken:
            self._held.pop(_key(one), None)


def resumed(held: Iterable[Held], judge: Judge, favoured: Mapping[str, Suspects], now: float) -> list[Connection]:
    """Those of the connections that are still their ports', and that the rules would let begin now, the same way round.

    `favoured` are those who have more rights than before; only their connections are looked at.
    """
    among = {network_id: (one.everybody, Addresses(one.addresses)) for network_id, one in favoured.items()}
    found = []
    for one, owners, until in held:
        everybody, addresses = among.get(one.network_id, (False, ()))
        if until <= now or not (everybody or any(end in addresses for end in one.ends)):
            continue
        if judge.owners(one) == owners and judge.stands(one):
            found.append(one)
    return found


def _can_go_on(one: Connection) -> bool:
    return one.protocol == _TCP and (one.tcp is None or one.tcp.state in _STANDING)


def _key(one: Connection) -> tuple[object, ...]:
    return one.network_id, one.protocol, *one.ends, one.source_port, one.destination_port
