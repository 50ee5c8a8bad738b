# SPDX-License-Identifier: Apache-2.0
"""The hosts' back ends: what they last said of themselves, and whether they take volumes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.block_storage.logic import pools, sharing
from cumulet.services.block_storage.logic.scheduler import filters
from cumulet.services.block_storage.store import backends as store
from cumulet.services.block_storage.types import Backend, is_place_of

SILENCE = timedelta(seconds=60)  # how long a host may be silent and yet count as up


def heard(cloud: Cloud, host: str, report: dict[str, Any], *, joined: bool = False) -> None:
    """A host has said how its back ends are; `joined`: for the first time since it is connected.

    A host of the release before says only how its one back end is.
    """
    said = report.get("backends")
    if said is None:
        said = [{"name": report["capabilities"]["name"], **report}]

    def write(tx: Tx) -> None:
        known = {each.name: each for each in store.on_host(tx, host)}
        zone = cloud.settings.block_storage.storage_availability_zone
        for position, one in enumerate(said):
            if one.get("place"):
                sharing.heard(tx, zone, host, position, one)
                continue
            have = known.pop(one["name"], None)
            if have is None and position == 0:
                have = _adopt(tx, host, known.pop("", None), one["name"])
            _keep(tx, zone, host, have, position, one)
        for name in known:
            # The settings do not name it any more. It stays for as long as something is on it.
            if store.is_empty(tx, host, name):
                store.remove(tx, host, name)
        if joined and said and not said[0].get("place"):
            store.name_unnamed(tx, host, said[0]["name"])

    cloud.db.write(write)


def _adopt(tx: Tx, host: str, unnamed: Backend | None, name: str) -> Backend | None:
    """Give a name to the one that the release before has heard of."""
    if unnamed is None:
        return None
    store.remove(tx, host, "")
    store.add(tx, msgspec.structs.replace(unnamed, name=name))
    return store.find(tx, host, name)


def _keep(tx: Tx, zone: str, host: str, have: Backend | None, position: int, said: dict[str, Any]) -> None:
    report = {name: said.get(name, {}) for name in ("stats", "capabilities", "settings")} | {"position": position}
    zone, now = report["settings"].get("availability_zone") or zone, clock.utcnow()
    if have is None:
        store.add(tx, Backend(host, zone, False, None, report, now, now, said["name"]))
    else:
        store.change(tx, host, have.name, report=report, availability_zone=zone, heard_at=now)


def find_all(source: Source) -> list[Backend]:
    """The back ends, by host and name."""
    return store.find_all(source)


def find(source: Source, host: str, name: str) -> Backend | None:
    return store.find(source, host, name)


def named(source: Source, words: str) -> list[Backend]:
    """The back ends that `host`, `host@backend` or `host@backend#pool` means, in the order of the host's settings."""
    host = words.partition("#")[0].partition("@")[0]
    found = [each for each in store.on_host(source, host) if is_place_of(words, host, each.name)]
    return sorted(found, key=lambda each: int(each.report.get("position", 0)))


def get(source: Source, words: str, binary: str = "cinder-volume") -> Backend:
    """The first of those that are `named`. Raises NotFound."""
    found = named(source, words)
    if not found:
        raise NotFound(f"Service {binary} could not be found on host {words}.", code="ServiceNotFound")
    return found[0]


def check_serving(backend: Backend) -> None:
    """Raise Invalid for one that is down, or kept away from."""
    if backend.disabled or not is_up(backend):
        raise Invalid("Service is unavailable at this time.", code="ServiceUnavailable")


def is_up(backend: Backend) -> bool:
    return clock.utcnow() - backend.heard_at < SILENCE


def enable(tx: Tx, words: str, *, enabled: bool, reason: str | None = None) -> Backend:
    """Let new volumes come to the back end that is `named`, or keep them away."""
    found = get(tx, words)
    store.change(tx, found.host, found.name, disabled=not enabled, disabled_reason=None if enabled else reason)
    return get(tx, found.full_name)


def satisfies(backend: Backend, extra_specs: dict[str, str]) -> bool:
    """Whether the back end can do what a volume type asks for."""
    return filters.satisfies(pools.capabilities(backend, pools.Used()), extra_specs)


def encrypts(source: Source, host: str) -> bool:
    """Whether the host knows what encrypted volumes are, as those of the release before do not."""
    return all("encryption" in each.report["capabilities"] for each in store.on_host(source, host))
