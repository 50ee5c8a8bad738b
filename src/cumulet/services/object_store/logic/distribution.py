# SPDX-License-Identifier: Apache-2.0
"""A ring is brought to all hosts that it names, over the protocol of devices; with it, where it lacks, the secret.

Who cannot be reached, or refuses, keeps nobody else from getting it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cumulet.kernel import faults
from cumulet.kernel.errors import Conflict, CumuletError, NotReady
from cumulet.kernel.link.badges import Badges
from cumulet.kernel.link.names import BADGE_NAME
from cumulet.services.object_store.drivers.remote.connection import Beyond, Connection
from cumulet.services.object_store.logic import home as homes
from cumulet.services.object_store.logic.deliveries import LOOK, PUT, Deliveries, Parcel
from cumulet.services.object_store.logic.home import RINGS, Secret
from cumulet.services.object_store.ring.ring import RingFile
from cumulet.settings.object_store import LOOPBACK, ObjectStore

DIAL = 6.0  # seconds in which a host is to be reached
ANSWER = 60.0  # seconds that it may take to take a ring in

Place = tuple[str, int]


class Outcome(NamedTuple):
    """What became of the ring at the host at `place`."""

    place: Place
    words: str
    done: bool


class Seen(msgspec.Struct):
    """What a host has (`deliveries`)."""

    secret: str = ""
    policies: list[int] = []


class Courier:
    """Of this host `host`, with the store in `folder`."""

    def __init__(self, folder: Path, settings: ObjectStore, host: str) -> None:
        self._folder = folder
        self._settings = settings
        self._host = host
        self._own = (settings.address, settings.port)

    def bring(self, name: str, content: bytes, ring: RingFile, more: Iterable[Place] = ()) -> list[Outcome]:
        """Bring the ring `name` to the hosts of its devices, and `more`. To this one, too, where it has a store.

        Raises Conflict for a ring that cannot be that of many hosts, and for a host that must not do it; NotReady where
        it cannot yet.
        """
        named = {(each.ip, each.port) for each in ring.devices if each is not None}
        places = sorted({*named, *more})
        alone = {each for each in places if each[0] == LOOPBACK}
        if alone == set(places):
            places = [self._own]
        elif alone:
            raise Conflict(f"The ring has devices at {LOOPBACK}, where no other host finds them (ring set-address).")
        elif self._own not in places and (self._folder / RINGS).is_dir():
            places.append(self._own)
        return asyncio.run(self._bring(Parcel(name=name, content=content, print=""), places))

    async def _bring(self, parcel: Parcel, places: Sequence[Place]) -> list[Outcome]:
        others = [each for each in places if each != self._own]
        badges = await asyncio.to_thread(self._badges) if others else None
        connections = {}
        for each in others:
            assert badges is not None
            way = Beyond(*each, badges.client, server_name=BADGE_NAME, admits=badges.is_good)
            connections[each] = Connection(way)
            connections[each].start()
        try:
            seen = dict(zip(others, await asyncio.gather(*map(_look, connections.values())), strict=True))
            secret = await asyncio.to_thread(self._secret, seen)
            parcel = msgspec.structs.replace(parcel, print=secret.print)
            deliveries = [_there(parcel, secret, connections[each], seen[each]) for each in others]
            said = dict(zip(others, await asyncio.gather(*deliveries), strict=True))
            faults.point("ring_courier.others")
            if self._own in places:  # the last one: what it writes from now on finds the others
                said[self._own] = await self._here(parcel, secret)
            return [Outcome(each, *said[each]) for each in places]
        finally:
            await asyncio.gather(*(each.stop() for each in connections.values()))

    def _badges(self) -> Badges:
        if self._settings.is_alone:
            raise Conflict("Say by which address other hosts reach the devices here: object_store.address.")
        badges = Badges(self._folder / "badges" / "0", self._host)
        try:
            badges.read()
        except FileNotFoundError:
            raise NotReady(
                "The object store of this host has no badge yet, by which others know it: it gets one when it runs and"
                " the control plane takes hosts (link.host)."
            ) from None
        return badges

    def _secret(self, seen: dict[Place, Seen | str]) -> Secret:
        """The cluster's, made here where nobody has one."""
        found = homes.read_secret(self._folder)
        if found is not None:
            return found
        for place, told in seen.items():
            if isinstance(told, str):
                raise Conflict(f"This host has no secret, and {shown(place)} may have: {told}.")
            if told.secret:
                raise Conflict(f"This host has no secret: distribute from {shown(place)}, which has the cluster's.")
        made = homes.new_secret()
        homes.keep_secret(self._folder, made)
        return made

    async def _here(self, parcel: Parcel, secret: Secret) -> tuple[str, bool]:
        deliveries = Deliveries(self._folder, self._settings)
        try:
            is_new = await asyncio.to_thread(deliveries.put, msgspec.structs.replace(parcel, secret=secret))
        except (CumuletError, OSError) as error:
            return f"refused: {error}", False
        return _said(parcel, is_new, Seen(policies=deliveries.policies()))


async def _look(connection: Connection) -> Seen | str:
    """What the host has, or why that cannot be told."""
    if not await connection.linked(DIAL):
        return f"it cannot be reached ({connection.trouble})"
    try:
        return msgspec.convert(await connection.call(LOOK, {}, ANSWER), Seen)
    except (CumuletError, msgspec.ValidationError) as error:
        return f"it does not tell what it has ({error})"


async def _there(parcel: Parcel, secret: Secret, connection: Connection, seen: Seen | str) -> tuple[str, bool]:
    if isinstance(seen, str):
        return seen, False
    if not seen.secret:
        parcel = msgspec.structs.replace(parcel, secret=secret)
    try:
        answer: Any = await connection.call(PUT, msgspec.to_builtins(parcel, builtin_types=(bytes,)), ANSWER)
    except CumuletError as error:
        return f"refused: {error}", False
    return _said(parcel, bool(answer["new"]), seen)


def _said(parcel: Parcel, is_new: bool, seen: Seen) -> tuple[str, bool]:
    words = "written" if is_new else "the same already"
    kind, _, number = parcel.name.partition("-")
    if kind == "object" and int(number or 0) not in seen.policies:
        words += f", but its settings have no policy {number}"
    return words, True


def shown(place: Place) -> str:
    address, port = place
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
