# SPDX-License-Identifier: Apache-2.0
"""What there is to know of a back end's one pool: its room, and what it can do, in Cinder's words. Sizes are GiB."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.db import Source
from cumulet.services.block_storage.store import volumes as store
from cumulet.services.block_storage.types import GIB, Backend, Stats


class Used(NamedTuple):
    """What the database says that is on a back end: how many volumes, and what they were promised."""

    volumes: int = 0
    gib: int = 0


class Room(NamedTuple):
    """A pool's room. `provisioned` is what volumes were promised, `ratio` how often it may be promised."""

    total: float
    free: float
    provisioned: float
    allocated: int
    reserved: int
    ratio: float
    thin: bool

    def available(self, *, thin: bool) -> float:
        """What can be promised in all, to volumes that are thin or not."""
        left = self.total - math.floor(self.total * self.reserved / 100)
        return left * self.ratio if thin and self.thin else left

    def left(self, *, thin: bool) -> float:
        """What can be promised yet; whatever is not thin has to be there as well."""
        unpromised = self.available(thin=thin) - self.provisioned
        return unpromised if thin and self.thin else min(unpromised, self.free)


def used(source: Source) -> dict[tuple[str, str], Used]:
    """What is on each back end, by host and name."""
    return {place: Used(*each) for place, each in store.used(source).items()}


def stats(backend: Backend) -> Stats:
    return msgspec.convert(backend.report["stats"], Stats)


def room(backend: Backend, used: Used) -> Room:
    """The host tells what was there when it was heard, the rows what was promised since."""
    said, settings = stats(backend), backend.report.get("settings", {})
    return Room(
        total=said.total / GIB,
        free=said.free / GIB,
        provisioned=max(said.provisioned / GIB, float(used.gib)),
        allocated=used.gib,
        reserved=int(settings.get("reserved_percentage", 0)),
        ratio=float(settings.get("max_over_subscription_ratio", 20.0)),
        thin=bool(backend.report["capabilities"]["thin_provisioning"]),
    )


def capabilities(backend: Backend, used: Used) -> dict[str, Any]:
    """What the scheduler and `get_pools` know; the operator's own words never hide Cinder's."""
    said, settings, has = backend.report["capabilities"], backend.report.get("settings", {}), room(backend, used)
    return {
        **settings.get("capabilities", {}),
        "timestamp": clock.iso_micro(backend.heard_at),
        "volume_backend_name": backend.name,
        "pool_name": backend.name,
        "vendor_name": said["vendor"],
        "driver_version": said["version"],
        "storage_protocol": said["storage_protocol"],
        "total_capacity_gb": round(has.total, 2),
        "free_capacity_gb": round(has.free, 2),
        "provisioned_capacity_gb": round(has.provisioned, 2),
        "allocated_capacity_gb": has.allocated,
        "total_volumes": used.volumes,
        "reserved_percentage": has.reserved,
        "max_over_subscription_ratio": str(has.ratio),
        "thin_provisioning_support": has.thin,
        "thick_provisioning_support": False,
        "online_extend_support": said["online_extend"],
        "multiattach": said["multiattach"],
        "encryption": bool(said.get("encryption")),
        "QoS_support": False,  # specs for back ends are kept by none
        "filter_function": settings.get("filter_function") or None,
        "goodness_function": settings.get("goodness_function") or None,
        "replication_enabled": False,
        "backend_state": "up",
    }
