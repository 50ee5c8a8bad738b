# SPDX-License-Identifier: Apache-2.0
"""Whether the stores of images that the settings name can be used from this machine."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cumulet.kernel.doctor import Finding, Probe
from cumulet.kernel.errors import CumuletError, NotFound, Unsupported

if TYPE_CHECKING:
    from cumulet.settings import Settings

_ABSENT = "cumulet-doctor"  # a name that no image has


def probes(settings: Settings) -> list[Probe]:
    """One a store; the store of a cloud that names none is in the state directory, which is probed by itself."""
    return [
        Probe(f"image store: {each.id}", functools.partial(_store, settings, each.id)) for each in settings.image.stores
    ]


def _store(settings: Settings, store_id: str) -> Finding:
    from cumulet.services.image.logic import stores

    said = next(each for each in stores.declared(settings) if each.id == store_id)
    folder = stores.folder_of(settings, said)
    if folder is not None:
        return _folder(folder, written=not said.read_only)
    try:
        store = stores.open_store(settings, said)
        if store.type == "swift":
            return Finding("ok", f"{store_id} is in the cloud's own object store")
        if store.type == "s3":
            store.bytes.size(_ABSENT)
    except NotFound:
        return Finding("ok", f"{store_id} answers")
    except Unsupported as error:
        return Finding("missing", error.message, "pip install 'cumulet[s3]'")
    except CumuletError as error:
        return Finding("missing", error.message, "see docs/operate/images.md for the settings of a store")
    return Finding("ok", f"{store_id} needs nothing")


def _folder(folder: Path, *, written: bool) -> Finding:
    verb = "written" if written else "read"
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(there, os.R_OK | os.X_OK | (os.W_OK if written else 0)):
        return Finding("missing", f"{there} cannot be {verb}", f"chown it, or mount {folder}")
    if there != folder and not written:
        return Finding("missing", f"{folder} is not there, and only read", f"mount {folder}")
    return Finding("ok", f"{folder} can be {verb}")
