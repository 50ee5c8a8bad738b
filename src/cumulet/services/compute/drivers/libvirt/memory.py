# SPDX-License-Identifier: Apache-2.0
"""A suspended server's memory in its folder: a file of libvirt's own form, which says itself whether it is whole."""

from __future__ import annotations

from pathlib import Path

from cumulet.services.compute.drivers.qemu.memory import FILE

_WHOLE = b"LibvirtQemudSave"


def is_kept(folder: Path) -> bool:
    """Whether the memory is there as a whole: until then the file begins with another word."""
    try:
        with (folder / FILE).open("rb") as source:
            return source.read(len(_WHOLE)) == _WHOLE
    except FileNotFoundError:
        return False
