# SPDX-License-Identifier: Apache-2.0
"""The kinds of back ends (`driver` of `block_storage.backends`): those of this package, and those that others bring.

A kind is its settings and what makes a back end of them. Other packages bring one by an entry point of the group
`cumulet.block_storage.backends`, which is a `BackendKind`; nothing is loaded but what settings name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from cumulet.kernel import plugins
from cumulet.kernel.link.host import Host
from cumulet.services.block_storage.drivers.base import Ended, Exporter, VolumeBackend
from cumulet.settings.block_storage import GROUP
from cumulet.settings.block_storage import VolumeBackend as Settings

NBD = "nbd"
_OWN = {name: f"cumulet.services.block_storage.drivers.{name}" for name in ("file", "iscsi", "shared", "fake")}


@dataclass(frozen=True)
class Place:
    """Where a back end is made: its host and settings, and a `folder` of its own there, which need not exist yet.

    `address` is this host's, for what it exports. `nbd()` is the exporter that all back ends of the host share, and
    `ended` is told of exports that end by themselves.
    """

    host: Host
    settings: Any
    folder: Path
    address: str
    nbd: Callable[[], Exporter]
    ended: Ended


@dataclass(frozen=True)
class Made:
    """A back end, and by protocol what exports its volumes to other hosts.

    `nbd` is what volumes are moved through, and what other hosts open them by unless the driver's `storage_protocol`
    is another one. With files `elsewhere` than in the place's folder, what a backup brings back is taken in from there.
    """

    backend: VolumeBackend
    exporters: Mapping[str, Exporter] = field(default_factory=dict)
    elsewhere: bool = False


@dataclass(frozen=True)
class BackendKind:
    """What `driver = NAME` means: the Struct that its settings are, and the making of one."""

    settings: type[Settings]
    make: Callable[[Place], Made]


def find(name: str) -> BackendKind:
    """The kind of this name. Raises LookupError where nobody brings one."""
    found: BackendKind = import_module(_OWN[name]).KIND if name in _OWN else plugins.load(GROUP, name)
    return found
