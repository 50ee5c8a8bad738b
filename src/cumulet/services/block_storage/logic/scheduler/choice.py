# SPDX-License-Identifier: Apache-2.0
"""Choosing among back ends: who is refused by what, and who is best; and holding on to the room of the one chosen."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from cumulet.kernel import errors
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.block_storage.logic import pools
from cumulet.services.block_storage.logic.pools import Used
from cumulet.services.block_storage.logic.scheduler import filters, plugins
from cumulet.services.block_storage.logic.scheduler.asked import Asked
from cumulet.services.block_storage.logic.scheduler.place import Place
from cumulet.services.block_storage.logic.scheduler.weighers import Weigher
from cumulet.services.block_storage.store import backends as store
from cumulet.services.block_storage.store import volumes
from cumulet.services.block_storage.types import NO_ROOM, Backend
from cumulet.services.compute.contract import ServersContract

LOG = logging.getLogger(__name__)

# What was asked for cannot be had of any back end.
_HOPELESS = (errors.Invalid, errors.TooLarge, errors.NotFound, errors.Gone, errors.Forbidden, errors.OverQuota)
NOWHERE = "No valid backend was found. No weighed backends available"
_CAPACITY = "CapacityFilter"


class Looked:
    """`place.Facts`, looked up at one source."""

    def __init__(self, cloud: Cloud, source: Source, asked: Asked) -> None:
        self._cloud, self._source, self._asked = cloud, source, asked

    @cached_property
    def _used(self) -> dict[tuple[str, str], Used]:
        return pools.used(self._source)

    def used(self, backend: Backend) -> Used:
        return self._used.get((backend.host, backend.name), Used())

    @cached_property
    def pools_of(self) -> Mapping[str, str]:
        named = {each for hint in ("same_host", "different_host") for each in filters.hinted(self._asked, hint) or ()}
        found = volumes.find_many(self._source, sorted(named)) if named else []
        return {each.id: each.pool for each in found if each.project_id == self._asked.project_id}

    def host_of(self, server_id: str) -> str:
        if not self._cloud.contracts.offers(ServersContract):
            return ""
        found = self._cloud.contracts.use(ServersContract).server(self._source, server_id)
        return "" if found is None else found.host


class _Before(Looked):
    """What was true before a volume, whose row says already how large it gets, began to grow."""

    def used(self, backend: Backend) -> Used:
        found = super().used(backend)
        return found._replace(gib=found.gib - self._asked.size)


class _Now(Looked):
    """What is true inside of a commit, of one back end alone: others may change theirs meanwhile."""

    def used(self, backend: Backend) -> Used:
        return Used(*volumes.used_at(self._source, backend.host, backend.name))


def judge(
    cloud: Cloud, source: Source, asked: Asked, facts: Looked | None = None
) -> tuple[list[Place], dict[str, str]]:
    """The places that the filters leave, and by which filter each other pool is refused.

    What is switched off or frozen takes nothing, and so does what the volume may not be on whatever filters say.
    """
    facts = Looked(cloud, source, asked) if facts is None else facts
    found = plugins.find_filters(asked.settings.scheduler_default_filters)
    left, refused = [], {}
    for backend in store.find_all(source):
        if not _is_meant(backend, asked):
            continue
        place = Place(backend, facts)
        by = "disabled" if backend.disabled or backend.frozen else None
        by = by or next((name for name, passes in found.items() if not passes(place, asked)), None)
        if by is None:
            left.append(place)
        else:
            refused[place.name] = by
    return left, refused


def ranked(cloud: Cloud, asked: Asked, source: Source | None = None) -> list[Backend]:
    """The back ends that the volume may be on now, the best first.

    Conflict (`NoValidBackend`) where there is none, NotReady where there is one whose host is not connected.
    """
    left, refused = judge(cloud, cloud.db if source is None else source, asked)
    if not left:
        LOG.info("no back end takes a volume of %d GiB: %s", asked.size, refused or "there is none that it may be on")
        raise Conflict(NOWHERE, code="NoValidBackend")
    connected = {info.name for info in cloud.hosts.connected()}
    up = [place for place in left if place.backend.keeper in connected]
    if not up:
        raise NotReady("no host that could take the volume is connected")
    weights = weigh(up, asked)
    return [place.backend for place in sorted(up, key=lambda place: (-weights[place.name], place.name))]


def for_all(cloud: Cloud, asked: Sequence[Asked]) -> Backend:
    """The best back end, for the first, of those on which all may be. Raises as `ranked`."""
    listed = [ranked(cloud, each) for each in asked]
    common = set.intersection(*({each.pool for each in one} for one in listed))
    found = next((each for each in listed[0] if each.pool in common), None)
    if found is None:
        raise Conflict(NOWHERE, code="NoValidBackend")
    return found


def take(cloud: Cloud, tx: Tx, asked: Asked, places: Sequence[Backend]) -> Backend:
    """The first of the back ends that has the room still: nobody else takes it before the commit.

    The caller writes the volume's place in this commit. NotReady where none has it any more: choose anew.
    """
    passes = plugins.find_filters(asked.settings.scheduler_default_filters).get(_CAPACITY)
    for each in places:
        tx.lock(f"block_storage:room:{each.full_name}")
        backend = store.find(tx, each.host, each.name)
        if backend is None or backend.disabled or backend.frozen:
            continue
        if passes is None or passes(Place(backend, _Now(cloud, tx, asked)), asked):
            return backend
    raise NotReady("the room for the volume was taken meanwhile")


def may_help(cloud: Cloud, error: Exception, asked: Asked) -> bool:
    """Whether another back end may make what one has answered with an error, with that one among those `tried`.

    A host that is away may have made it, or be about to: it is waited for.
    """
    is_full = isinstance(error, errors.CumuletError) and error.code == NO_ROOM
    if isinstance(error, (*_HOPELESS, NotReady)) and not is_full:
        return False
    if len(asked.tried) >= asked.settings.scheduler_max_attempts:
        return False
    try:
        return any(each.pool not in asked.tried for each in ranked(cloud, asked))
    except (Conflict, NotReady):
        return False


def may_grow(cloud: Cloud, asked: Asked) -> bool:
    """Whether the back end of a volume whose growth has begun takes so much more."""
    left, refused = judge(cloud, cloud.db, asked, _Before(cloud, cloud.db, asked))
    if not left:
        LOG.info("a volume cannot grow by %d GiB: %s", asked.size, refused)
    return bool(left)


def weigh(places: Iterable[Place], asked: Asked) -> dict[str, float]:
    """The sum of all weights by pool, each weigher's between 0 and 1 before its multiplier."""
    listed = list(places)
    sums = dict.fromkeys((place.name for place in listed), 0.0)
    if len(listed) < 2:
        return sums
    for weigher in plugins.find_weighers(asked.settings.scheduler_default_weighers).values():
        raw = [weigher.weigh(place, asked) for place in listed]
        least, span = min(raw), max(raw) - min(raw)
        if span:
            for place, value in zip(listed, raw, strict=True):
                sums[place.name] += (value - least) / span * _multiplier(weigher, asked)
    return sums


def _multiplier(weigher: Weigher, asked: Asked) -> float:
    return float(getattr(asked.settings, weigher.multiplier)) if weigher.multiplier else 1.0


def _is_meant(backend: Backend, asked: Asked) -> bool:
    return asked.host in ("", backend.host, *backend.hosts) and asked.only in ("", backend.pool, backend.full_name)
