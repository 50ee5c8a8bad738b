# SPDX-License-Identifier: Apache-2.0
"""What a running domain has, read from its description: disks by alias, addresses of interfaces, displays."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.libvirt.words import Element
from cumulet.services.compute.types import DISPLAYS, Display


def targets(description: Element) -> dict[str, str]:
    """libvirt's names of the disks, by alias."""
    return {_alias(each): _attribute(each, "target", "dev") for each in description.iterfind("devices/disk")}


def files(description: Element) -> dict[str, str]:
    """The files behind the disks, by alias; of others the device, or the name by which it is served."""
    return {_alias(each): _behind(each) for each in description.iterfind("devices/disk")}


def is_exported(description: Element, alias: str) -> bool:
    """Whether a host exports the disk."""
    found = description.iterfind("devices/disk/source[@tls='yes']/..")
    return any(_alias(each) == alias for each in found)


def check_plain(description: Element, alias: str) -> None:
    """Conflict for a disk whose content libvirt decrypts: what it would copy is no ciphertext."""
    found = description.iterfind("devices/disk/source/encryption/../..")
    if any(_alias(each) == alias for each in found):
        raise Conflict("libvirt copies no encrypted volumes", code="HypervisorFailed")


def has(description: Element, alias: str) -> bool:
    return any(each.get("name") == alias for each in description.iterfind("devices/*/alias"))


def controllers(description: Element, kind: str) -> int:
    """How many of a kind there are (`scsi`, `usb`); a model `none` does not count."""
    found = description.iterfind(f"devices/controller[@type='{kind}']")
    return sum(each.get("model") != "none" for each in found)


def macs(description: Element) -> list[str]:
    return [_attribute(each, "mac", "address") for each in description.iterfind("devices/interface")]


def graphics(description: Element) -> list[str]:
    """The kinds of graphical displays, in the order in which libvirt counts them."""
    return [each.get("type", "") for each in description.iterfind("devices/graphics")]


def displays(description: Element) -> tuple[Display, ...]:
    """All consoles; the serial port is always there."""
    found = {*graphics(description), "serial"}
    return tuple(each for each in DISPLAYS if each in found)


def _behind(disk: Element) -> str:
    words = (_attribute(disk, "source", each) for each in ("file", "dev", "name"))
    return next((each for each in words if each), "")


def _alias(device: Element) -> str:
    return _attribute(device, "alias", "name")


def _attribute(device: Element, name: str, attribute: str) -> str:
    found = device.find(name)
    return found.get(attribute, "") if found is not None else ""
