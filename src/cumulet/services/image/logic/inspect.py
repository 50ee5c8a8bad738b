# SPDX-License-Identifier: Apache-2.0
"""Whether uploaded bytes may be an image of the format that was declared: they are what they say, and safe to open.

An image may name other files (a backing file, extents); whoever opened it would be shown the host's own. Such images
are refused before anything opens them. `kernel.diskimage` reads what the bytes are; refusals are in Glance's words.
"""

from __future__ import annotations

import logging

import msgspec

from cumulet.kernel.diskimage import BAD_DATA, ONE_FILE_TYPES, Found, Reader, candidates, inspect, mismatch
from cumulet.kernel.errors import Invalid
from cumulet.settings import Settings

__all__ = ["BAD_DATA", "Found", "Reader", "Rules", "check", "inspect", "rules"]

LOG = logging.getLogger(__name__)

BARE = "bare"
# Kernels and initial RAM disks: what looks like a partition table there is none.
_NO_DISKS = ("aki", "ari")
_PARTITIONED = "gpt"


class Rules(msgspec.Struct, frozen=True):
    """What an operator may choose: see the settings `image_format.*`."""

    require_format_match: bool = True
    vmdk_allowed_types: tuple[str, ...] = ONE_FILE_TYPES
    gpt_safety_checks_nonfatal: tuple[str, ...] = ()


USUAL = Rules()


def rules(settings: Settings) -> Rules:
    """What the operator of this cloud has chosen."""
    said = settings.image_format
    return Rules(said.require_image_format_match, said.vmdk_allowed_types, said.gpt_safety_checks_nonfatal)


def check(read: Reader, size: int, disk_format: str, container_format: str, rules: Rules = USUAL) -> int | None:
    """The virtual size in bytes of an image that may be used as `disk_format`, None where that is not known.

    Raises Invalid for bytes of another format than declared and for those that are unsafe. Only bare images are looked
    into: what a container holds is not opened here, and hosts look into it before they do.
    """
    if container_format != BARE:
        return None
    found = candidates(read, size, disk_format, rules.vmdk_allowed_types)
    problem = mismatch(found, disk_format)
    if problem and rules.require_format_match:
        raise Invalid(problem, code=BAD_DATA)
    for each in found:
        _check_safe(each, disk_format, rules)
    if problem:
        LOG.warning("%s; its virtual size is not known", problem)
        return None
    if disk_format == "raw":
        return size or None
    return (found[0].virtual_size or None) if found[0].format == disk_format else None


def _check_safe(found: Found, disk_format: str, rules: Rules) -> None:
    forgiven: set[str] = set()
    if found.format == _PARTITIONED:
        forgiven = {*rules.gpt_safety_checks_nonfatal, *(("mbr",) if disk_format in _NO_DISKS else ())}
    fatal = [each for each in found.dangers if each.check not in forgiven]
    if fatal:
        raise Invalid("Image failed safety checks", code=BAD_DATA, dangers=[each.says for each in fatal])
