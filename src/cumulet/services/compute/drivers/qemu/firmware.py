# SPDX-License-Identifier: Apache-2.0
"""UEFI for servers: which build of it this host has for a machine, and each server's own variables.

Builds are found by the descriptors that QEMU's packages install (`docs/interop/firmware.json` of QEMU).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.types import Guest

DESCRIPTORS = Path("/usr/share/qemu/firmware")
VARIABLES = "nvram.fd"
_SECURE = {"secure-boot", "enrolled-keys", "requires-smm"}
_FAMILIES = {"pc": "pc-i440fx-", "q35": "pc-q35-"}


class Build(NamedTuple):
    """One build: its code, the variables that a new server begins with, and whether it insists on signatures."""

    code: Path
    variables: Path
    secure: bool


def find(machine: str, *, secure: bool) -> Build | None:
    """The build for a machine type (`q35`, `pc-i440fx-7.2`), None where this host has none."""
    name = _FAMILIES.get(machine, machine)
    for words in _descriptors():
        features = set(words.get("features", ()))
        fits = features >= _SECURE if secure else not features & {"secure-boot", "requires-smm", "amd-sev-es"}
        machines = [
            pattern
            for target in words.get("targets", ())
            if target.get("architecture") == "x86_64"
            for pattern in target.get("machines", ())
        ]
        files = words.get("mapping", {})
        if fits and "nvram-template" in files and any(fnmatchcase(name, pattern) for pattern in machines):
            code, variables = (Path(files[part]["filename"]) for part in ("executable", "nvram-template"))
            if code.exists() and variables.exists():
                return Build(code, variables, secure)
    return None


def choose(guest: Guest) -> Build | None:
    """The build for a server, None for one with a BIOS. Conflict where this host has none that it asks for."""
    if guest.firmware != "uefi":
        return None
    machine = guest.machine or "pc"
    if guest.secure_boot != "disabled" and "q35" in machine and (found := find(machine, secure=True)):
        return found
    if guest.secure_boot == "required":
        raise Conflict("Secure Boot is not supported by host", code="SecureBootNotSupported")
    found = find(machine, secure=False)
    if found is None:
        raise Conflict("UEFI is not supported", code="UEFINotSupported")
    return found


def prepare(folder: Path, guest: Guest) -> None:
    """See that a server has its variables; those that are there are left as the guest left them."""
    build = choose(guest)
    if build is not None and not (folder / VARIABLES).exists():
        draft = folder / f"{VARIABLES}.new"
        shutil.copyfile(build.variables, draft)
        draft.chmod(0o600)
        draft.rename(folder / VARIABLES)


def _descriptors() -> Iterator[dict[str, Any]]:
    for path in sorted(DESCRIPTORS.glob("*.json")):
        words = json.loads(path.read_bytes())
        if "uefi" in words.get("interface-types", ()) and words.get("mapping", {}).get("device") == "flash":
            yield words
