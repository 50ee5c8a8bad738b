# SPDX-License-Identifier: Apache-2.0
"""The hosts that keep volumes: what they last said of themselves, and which of them takes a new volume."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, NotFound, NotReady
from cumulet.services.block_storage.store import backends as store
from cumulet.services.block_storage.types import GIB, Backend, Stats

ZONE = "nova"  # the one availability zone
SILENCE = timedelta(seconds=60)  # how long a host may be silent and yet count as up


def heard(cloud: Cloud, host: str, report: dict[str, Any]) -> None:
    """A host has said how it is: `stats` and `capabilities` are kept."""
    said = {"stats": report["stats"], "capabilities": report["capabilities"]}
    now = clock.utcnow()

    def write(tx: Tx) -> None:
        if store.find(tx, host) is None:
            store.add(tx, Backend(host, ZONE, False, None, said, now, now))
        else:
            store.change(tx, host, report=said, heard_at=now)

    cloud.db.write(write)


def find_all(source: Source) -> list[Backend]:
    return store.find_all(source)


def get(source: Source, host: str) -> Backend:
    found = store.find(source, host)
    if found is None:
        raise NotFound(f"Service cinder-volume could not be found on host {host}.", code="ServiceNotFound")
    return found


def is_up(backend: Backend) -> bool:
    return clock.utcnow() - backend.heard_at < SILENCE


def enable(tx: Tx, host: str, *, enabled: bool, reason: str | None = None) -> Backend:
    """Let new volumes come to the host, or keep them away."""
    get(tx, host)
    store.change(tx, host, disabled=not enabled, disabled_reason=None if enabled else reason)
    return get(tx, host)


def choose(cloud: Cloud, size: int, extra_specs: dict[str, str], host: str = "") -> str:
    """The host that a volume of `size` GiB goes to: `host` where it is given, else the one with the most room.

    `extra_specs` are the volume type's. Conflict where no host has what they ask for, NotReady where one has that is
    not connected now.
    """
    fitting = {
        backend.host: free_capacity(backend)
        for backend in store.find_all(cloud.db)
        if host in ("", backend.host) and not backend.disabled and satisfies(backend, extra_specs)
    }
    fitting = {name: free for name, free in fitting.items() if free >= size}
    if not fitting:
        raise Conflict("No valid backend was found. No weighed backends available", code="NoValidBackend")
    up = fitting.keys() & {info.name for info in cloud.hosts.connected()}
    if not up:
        raise NotReady("no host that could take the volume is connected")
    return max(sorted(up), key=fitting.__getitem__)


def satisfies(backend: Backend, extra_specs: dict[str, str]) -> bool:
    """Whether the host has what a volume type asks for, as Cinder's capabilities filter reads extra specs.

    A key without a scope, or with the scope `capabilities`, names a capability; others are not for the scheduler.
    """
    said = backend.report["capabilities"]
    have = {
        **said,
        "volume_backend_name": said["name"],
        "vendor_name": said["vendor"],
        "driver_version": said["version"],
        "thin_provisioning_support": said["thin_provisioning"],
        "online_extend_support": said["online_extend"],
    }
    for key, wanted in extra_specs.items():
        scope, _, name = key.rpartition(":")
        if scope in ("", "capabilities") and not _equal(have.get(name), wanted):
            return False
    return True


def _equal(have: object, wanted: str) -> bool:
    operator, _, value = wanted.partition(" ")
    if operator == "<is>":
        return str(have).lower() == value.strip().lower()
    if operator in ("==", "s=="):
        return str(have) == value.strip()
    return str(have).lower() == wanted.lower()


def free_capacity(backend: Backend) -> float:
    """GiB that are really free on the host; thin volumes may promise more than there is."""
    return stats(backend).free / GIB


def stats(backend: Backend) -> Stats:
    return msgspec.convert(backend.report["stats"], Stats)


def names(source: Source) -> dict[str, str]:
    """The back ends' names by host."""
    return {backend.host: str(backend.report["capabilities"]["name"]) for backend in store.find_all(source)}
