# SPDX-License-Identifier: Apache-2.0
"""Whether the object store's devices and rings are as its settings say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cumulet.kernel.doctor import Finding, Probe
from cumulet.kernel.errors import CumuletError

if TYPE_CHECKING:
    from cumulet.settings import Settings
    from cumulet.settings.object_store import ObjectDevice, StoragePolicy

LOW = 0.05  # of a disk


def probes(settings: Settings) -> list[Probe]:
    """Nothing is needed where there is no store."""
    chosen = settings.object_store
    if not chosen.enabled:
        return []
    folder = settings.objects_folder
    return [
        *(Probe(f"objects: device {each.name}", partial(device, folder, each)) for each in chosen.devices),
        *(Probe(f"objects: policy {each.name}", partial(code, each)) for each in chosen.policies if each.fragments),
        Probe("objects: rings", partial(rings, folder / "rings", [each.name for each in chosen.devices])),
    ]


def device(folder: Path, wanted: ObjectDevice) -> Finding:
    """Whether the folder is there and is this device's."""
    from cumulet.services.object_store.drivers.local import files

    where = wanted.folder
    if not where.is_dir():
        return Finding("degraded", f"{where} is not there", f"mount the disk, or mkdir {where} for a new device")
    if not os.access(where, os.W_OK):
        return Finding("degraded", f"{where} cannot be written to", f"chown {os.geteuid()} {where}")
    if (folder / "made" / wanted.name).exists():
        try:
            files.check(where, wanted.name)
        except CumuletError as error:
            words = f"mount the disk; for an empty disk in its place: rm {folder / 'made' / wanted.name}"
            return Finding("degraded", error.message, words)
    space = shutil.disk_usage(where)
    if space.free < LOW * space.total:
        return Finding("degraded", f"{where} is nearly full: {space.free / 1e9:.1f} GB are free")
    return Finding("ok", f"{where}, {space.free / 1e9:.1f} GB free")


def code(policy: StoragePolicy) -> Finding:
    """Whether this machine can encode as the policy says."""
    from cumulet.services.object_store.engine.coded.coder import coder_for
    from cumulet.services.object_store.logic.home import scheme_of

    scheme = scheme_of(policy)
    assert scheme is not None
    try:
        coder_for(scheme)
    except CumuletError as error:
        return Finding("missing", error.message, "pip install 'cumulet[erasure]'")
    return Finding("ok", str(scheme))


def rings(folder: Path, devices: Iterable[str]) -> Finding:
    """Whether each ring can be read, and every device has a share in one."""
    from cumulet.services.object_store.ring import files

    found = sorted(folder.glob("*.ring.gz"))
    named = set()
    for path in found:
        try:
            ring = files.read(path)
        except CumuletError as error:
            plan = path.name.replace(".ring.gz", ".builder")
            return Finding("missing", error.message, f"cumulet ring write-ring {folder / plan}")
        named |= {each.device for each in ring.devices if each is not None}
    if not found:
        return Finding("ok", "they are made at the first start, or brought to a host that has joined")
    if idle := sorted(set(devices) - named):
        return Finding("degraded", f"no ring has {', '.join(idle)}", f"cumulet ring add {folder}/object.builder ...")
    return Finding("ok", f"{len(found)} in {folder}")
