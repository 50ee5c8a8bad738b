# SPDX-License-Identifier: Apache-2.0
"""XML as libvirt reads and writes it: elements in one call, and the text of a whole."""

from __future__ import annotations

from xml.etree import ElementTree

Element = ElementTree.Element
# What is said in QEMU's own words has names of its own.
_QEMU_NAMES = "http://libvirt.org/schemas/domain/qemu/1.0"
QEMU = f"{{{_QEMU_NAMES}}}"
ElementTree.register_namespace("qemu", _QEMU_NAMES)


def element(tag: str, /, *children: Element | None, text: str = "", **attributes: str | int | None) -> Element:
    """An element; attributes that are None or "" are left out, and so are children that are None."""
    made = Element(tag, {key: str(value) for key, value in attributes.items() if value is not None and value != ""})
    made.text = text or None
    made.extend([child for child in children if child is not None])
    return made


def switch(value: bool) -> str:
    return "on" if value else "off"


def yes(value: bool) -> str:
    return "yes" if value else "no"


def write(root: Element) -> str:
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def read(text: str) -> Element:
    """What libvirt says of a domain; it is the daemon's own words, no user's."""
    return ElementTree.fromstring(text)  # noqa: S314
