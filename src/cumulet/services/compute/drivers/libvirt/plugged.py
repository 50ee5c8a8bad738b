# SPDX-License-Identifier: Apache-2.0
"""What a running domain has, read from its description: disks by alias, addresses of interfaces, displays."""

from __future__ import annotations

from cumulet.services.compute.drivers.libvirt.words import Element
from cumulet.services.compute.types import DISPLAYS, Display


def targets(description: Element) -> dict[str, str]:
    """libvirt's names of the disks, by alias."""
    return {_alias(each): _attribute(each, "target", "dev") for each in description.iterfind("devices/disk")}


def files(description: Element) -> dict[str, str]:
    """The files behind the disks, by alias."""
    return {_alias(each): _attribute(each, "source", "file") for each in description.iterfind("devices/disk")}


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


def _alias(device: Element) -> str:
    return _attribute(device, "alias", "name")


def _attribute(device: Element, name: str, attribute: str) -> str:
    found = device.find(name)
    return found.get(attribute, "") if found is not None else ""
