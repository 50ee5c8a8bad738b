# SPDX-License-Identifier: Apache-2.0
"""The rings of the store as their files have them, read again when a file was replaced."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.ring import files
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.ring import Ring
from cumulet.settings.object_store import LOOPBACK

LOG = logging.getLogger(__name__)


_Mark = tuple[int, int, int]


class RingFiles:
    """The rings called `names` in `folder`.

    What they have at LOOPBACK, whatever the port, is at `own`: a ring of a machine that was alone goes on where others
    reach it by another address.
    """

    def __init__(self, folder: Path, names: Sequence[str], own: tuple[str, int]) -> None:
        self._paths = {name: folder / f"{name}.ring.gz" for name in names}
        self._own = own
        self._marks: dict[str, _Mark | None] = {}

    def read(self) -> dict[str, Ring]:
        """All of them. Raises Invalid for a file that is none, FileNotFoundError."""
        return {name: self._read(name) for name in self._paths}

    def changed(self) -> dict[str, Ring]:
        """Those whose files were replaced since they were read; one that cannot be used is said once, and not used."""
        found = {}
        for name, path in self._paths.items():
            mark = _mark(path)
            if mark is None or mark == self._marks.get(name):
                continue  # one that is gone for a moment, or for good: the ring that is known goes on
            try:
                found[name] = self._read(name)
            except (Invalid, OSError) as error:
                LOG.error("the changed ring %s is not used: %s", name, error)
        return found

    def _read(self, name: str) -> Ring:
        path = self._paths[name]
        self._marks[name] = _mark(path)
        found = files.read(path)
        devices = [each and self._placed(each) for each in found.devices]
        ring = Ring(msgspec.structs.replace(found, devices=devices))
        LOG.info("ring %s: version %s, %g replicas of %d partitions", name, ring.version, ring.replicas, ring.parts)
        return ring

    def _placed(self, device: Device) -> Device:
        if device.ip != LOOPBACK:
            return device
        return msgspec.structs.replace(device, ip=self._own[0], port=self._own[1])


def _mark(path: Path) -> _Mark | None:
    """What differs when the file is replaced."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
