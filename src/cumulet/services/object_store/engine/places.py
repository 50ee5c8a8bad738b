# SPDX-License-Identifier: Apache-2.0
"""Where names lie: rings say on which devices, and here are those that are at hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec

from cumulet.services.object_store.drivers.nodes import Node as Node
from cumulet.services.object_store.drivers.nodes import Where as Where
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.deadlines import Deadlines
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.ring import Ring, quick_md5
from cumulet.services.object_store.types.indexes import Key
from cumulet.services.object_store.types.objects import Address

SETTLING = 3600.0  # seconds after new rings: within an hour no builder moves another replica of a partition


class Rings(msgspec.Struct, frozen=True, kw_only=True):
    """`objects` by storage policy; `prefix` and `suffix` are the cluster's secret, hashed with names."""

    account: Ring
    container: Ring
    objects: Mapping[int, Ring]
    prefix: str = ""
    suffix: str = ""


def where(device: Device) -> Where:
    return device.ip, device.port, device.device


class Spot(NamedTuple):
    """A partition with the devices of its replicas, None for one that is not at hand, the local ones first."""

    ring: Ring
    part: int
    primaries: list[Node | None]

    @property
    def quorum(self) -> int:
        """How many of them are more than half."""
        return len(self.primaries) // 2 + 1


class Places:
    """`rings` and `devices` may change while it is in use: what is not in `devices` is gone.

    The larger what `avoids` says of a device, the later it is read; so is one that new rings have given an index to,
    which may still have only what came since. `timed` is
    a device as background jobs ask it (`Deadlines.of`).
    """

    def __init__(
        self, rings: Rings, devices: Mapping[Where, Node], avoids: Callable[[Node], int] = lambda node: 0
    ) -> None:
        self.rings = rings
        self.devices = devices
        self._avoids = avoids
        self._md5 = quick_md5()
        self._former: list[tuple[float, Rings]] = []
        self.timed = Deadlines().of

    def take(self, rings: Rings) -> None:
        """Have names lie where other `rings` say."""
        self._former.append((time.monotonic() + SETTLING, self.rings))
        self.rings = rings

    def index(self, key: Key) -> Spot:
        account, container = key
        ring = self.rings.container if container else self.rings.account
        name = f"{account}/{container}" if container else account
        spot = self._spot(ring, self._hash(name))
        if self._former:
            self._put_newcomers_last(spot, is_container=bool(container))
        return spot

    def object(self, name: Name) -> tuple[Address, Spot]:
        """Unavailable for a policy without a ring."""
        ring = self.ring(name.policy)
        digest = self._hash(f"{name.account}/{name.container}/{name.object}")
        spot = self._spot(ring, digest)
        return Address(
            policy=name.policy,
            partition=spot.part,
            hash=digest.hex(),
            account=name.account,
            container=name.container,
            object=name.object,
        ), spot

    def ring(self, policy: int) -> Ring:
        ring = self.rings.objects.get(policy)
        if ring is None:
            raise Unavailable(f"There is no ring of storage policy {policy}.")
        return ring

    def spot(self, ring: Ring, part: int) -> Spot:
        devices = self.devices
        nodes = [devices.get((each.ip, each.port, each.device)) for each in ring.nodes(part)]
        if len(nodes) > 1:
            nodes.sort(key=self._farness)
        return Spot(ring, part, nodes)

    def positions(self, spot: Spot) -> list[Node | None]:
        """The devices of its replicas in the order of the ring, which fragments are told apart by."""
        return [self.devices.get(where(each)) for each in spot.ring.nodes(spot.part)]

    def handoffs(self, spot: Spot) -> Iterator[Node]:
        """All of them that are at hand."""
        found = (self.devices.get(where(each)) for each in spot.ring.handoffs(spot.part))
        return (node for node in found if node is not None)

    def spares(self, spot: Spot) -> Iterator[Node]:
        """Handoffs at hand, as many at most as there are replicas."""
        return islice(self.handoffs(spot), len(spot.primaries))

    def everyone(self, spot: Spot) -> list[Node | None]:
        """All devices of the ring, None for one that is not at hand."""
        every = (*spot.ring.nodes(spot.part), *spot.ring.handoffs(spot.part))
        return [self.devices.get(where(each)) for each in every]

    def local(self) -> list[Node]:
        """The devices of this process."""
        return [node for node in self.devices.values() if node.local]

    def _farness(self, node: Node | None) -> int:
        if node is None:
            return 16
        return 4 * self._avoids(node) + (not node.local) + (not node.near)

    def _put_newcomers_last(self, spot: Spot, *, is_container: bool) -> None:
        now = time.monotonic()
        self._former = [each for each in self._former if each[0] > now]
        former = [rings.container if is_container else rings.account for _, rings in self._former]
        had = [set(map(where, ring.nodes(spot.part))) for ring in former if ring.part_power == spot.ring.part_power]
        new = {each for each in map(where, spot.ring.nodes(spot.part)) if any(each not in some for some in had)}
        late = {self.devices.get(each) for each in new}
        spot.primaries.sort(key=lambda node: self._farness(node) + 4 * (node in late))

    def _hash(self, name: str) -> bytes:
        return self._md5(f"{self.rings.prefix}/{name}{self.rings.suffix}".encode()).digest()

    def _spot(self, ring: Ring, digest: bytes) -> Spot:
        return self.spot(ring, int.from_bytes(digest) >> (128 - ring.part_power))
