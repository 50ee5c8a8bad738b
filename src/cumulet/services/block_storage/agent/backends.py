# SPDX-License-Identifier: Apache-2.0
"""The back ends of this host, in the order of the settings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import msgspec

from cumulet.kernel.errors import NotFound, NotReady
from cumulet.kernel.link.host import Body
from cumulet.services.block_storage.contract import DiskSource
from cumulet.services.block_storage.drivers.base import SharedStorage, VolumeBackend
from cumulet.services.block_storage.types import GIB, Stats
from cumulet.settings import block_storage as settings

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A back end. `place` is where a backup has its files, below the folder of all of them."""

    settings: settings.VolumeBackend
    driver: VolumeBackend
    place: str = ""

    @property
    def name(self) -> str:
        return self.settings.name

    def stats(self) -> Stats:
        """The room that there is, as far as the settings let volumes have it."""
        found, most = self.driver.stats(), int(self.settings.capacity * GIB)
        if not most:
            return found
        left = max(0, most - found.allocated)
        return msgspec.structs.replace(found, total=min(found.total, most), free=min(found.free, left))

    def report(self) -> Body:
        return {
            "name": self.name,
            "volumes": self.driver.volumes(),
            "snapshots": self.driver.snapshots(),
            "stats": msgspec.to_builtins(self.stats()),
            "capabilities": msgspec.to_builtins(self.driver.capabilities),
            "settings": said(self.settings),
            **({"place": self.settings.place} if isinstance(self.settings, settings.SharedVolumeBackend) else {}),
        }


class Backends:
    """All of them; the first is meant where none is named."""

    def __init__(self, kept: Sequence[Kept] = ()) -> None:
        self._kept = {each.name: each for each in kept}

    def add(self, kept: Kept) -> None:
        """One more, behind the others."""
        self._kept[kept.name] = kept

    def __iter__(self) -> Iterator[Kept]:
        return iter(self._kept.values())

    def get(self, name: str = "") -> VolumeBackend:
        """Raises NotReady for one that the settings do not have now: they may have it again."""
        return self._get(name).driver

    def of(self, body: Body) -> VolumeBackend:
        """The one that an order means."""
        return self.get(str(body.get("backend", "")))

    def report(self) -> list[Body]:
        """What each has to say; a storage that other hosts reach too says nothing while this one does not."""
        found = []
        for each in self:
            try:
                found.append(each.report())
            except NotReady as error:
                if not isinstance(each.driver, SharedStorage):
                    raise
                LOG.warning("back end %s: %s", each.name, error.message)
        return found

    @contextmanager
    def order(self, body: Body) -> Iterator[None]:
        """Carry out an order, which a storage that other hosts reach too may refuse.

        It is about what it makes or changes: an order about several things is known by the first.
        """
        first = next(iter(body.get("snapshots", ())), body)
        name = str(first.get("id", ""))
        driver = self.of(body) if "term" in body and name else None
        with driver.order(name, int(body["term"])) if isinstance(driver, SharedStorage) else nullcontext():
            yield

    def holding(self, volume_id: str) -> Kept:
        """The one with the volume. Raises NotFound; NotReady while two have it, for it is being moved."""
        if len(self._kept) == 1:
            return self._get("")
        away: list[NotReady] = []
        having = [each for each in self if _has(each.driver, volume_id, away)]
        if len(having) > 1:
            raise NotReady(f"Volume {volume_id} is on {having[0].name} and on {having[1].name}.")
        if not having and away:
            raise away[0]
        if not having:
            raise NotFound(f"{volume_id} is not on this host.")
        return having[0]

    def source(self, volume_id: str, name: str = "") -> DiskSource:
        """Where the volume's bytes are, on the back end if one is named. Raises NotFound."""
        driver = self.get(name) if name else self.holding(volume_id).driver
        return driver.source(volume_id)

    def _get(self, name: str) -> Kept:
        found = self._kept.get(name) if name else next(iter(self))
        if found is None:
            raise NotReady(f"The settings of this host name no back end {name}.")
        return found


def said(backend: settings.VolumeBackend) -> dict[str, Any]:
    """What the settings say of a back end that the control plane has to know: nothing of a driver's own."""
    names = [name for name in settings.VolumeBackend.__struct_fields__ if name != "name"]
    return {name: getattr(backend, name) for name in names}


def _has(driver: VolumeBackend, volume_id: str, away: list[NotReady]) -> bool:
    """Whether it has the volume, as far as it can be asked; what says that it cannot goes to `away`."""
    try:
        driver.source(volume_id)
    except NotFound:
        return False
    except NotReady as error:
        away.append(error)
        return False
    return True
