# SPDX-License-Identifier: Apache-2.0
"""What an image's properties mean: words become truth values and numbers, and wrong words are refused."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.extra_specs import is_true

_WORDS = Path(__file__).with_name("properties.toml")
_MOST_NODES = 128
# Values that are taken in any capitals, and other words for them.
_ALIASES: dict[str, dict[str, str]] = {
    "hw_vif_model": {
        "virtuale1000": "e1000", "virtuale1000e": "e1000e", "virtualpcnet32": "pcnet", "virtualvmxnet": "vmxnet",
        "virtualvmxnet3": "vmxnet3", "virtualsriovethernetcard": "sriov",
    },
    "hw_scsi_model": {"lsilogicsas": "lsisas1068", "paravirtual": "vmpvscsi"},
    "hw_architecture": {
        "i386": "i686", "i486": "i686", "i586": "i686", "x86_32": "i686", "x86_32p": "i686", "amd64": "x86_64",
    },
    "hw_vm_mode": {"pv": "xen", "hv": "hvm", "baremetal": "hvm"},
    "img_hv_type": {"xapi": "xen"},
    "os_type": {},
}  # fmt: skip
_ALIASES["hw_emulation_architecture"] = _ALIASES["hw_architecture"]
_REFUSALS = {
    "hw_architecture": "Architecture name '{}' is not valid",
    "hw_emulation_architecture": "Architecture name '{}' is not valid",
    "hw_vm_mode": "Virtual machine mode '{}' is not valid",
    "img_hv_type": "Hypervisor virt type '{}' is not valid",
}

Read = Callable[[str], Any]


def read(properties: Mapping[str, str]) -> dict[str, Any]:
    """The properties under today's names; those with a kind as bool or int. Invalid for values that cannot be."""
    facts = _facts()
    found: dict[str, Any] = dict(properties)
    for former, name in facts["former"].items():
        if former in properties and name not in properties:
            found[name] = properties[former]
    _read_adapter(properties, found)
    kinds = facts["kinds"]
    try:
        for name in [name for name in kinds if name in found or kinds[name] == "integers"]:
            if kinds[name] == "integers":
                _read_numbered(found, name)
            else:
                found[name] = _value(name, kinds[name], str(found[name]))
    except ValueError as error:
        raise Invalid(f"Invalid image metadata. Error: {error}", code="InvalidRequest") from None
    return found


@cache
def _facts() -> dict[str, Any]:
    return tomllib.loads(_WORDS.read_text(encoding="utf-8"))


def _value(name: str, kind: str | list[str], text: str) -> Any:
    if kind == "boolean":
        return is_true(text)
    if kind == "integer":
        return int(text)
    word = text
    if name in _ALIASES:
        word = _ALIASES[name].get(text.lower(), text.lower())
    if word not in kind:
        raise ValueError(_REFUSALS.get(name, "Field value {} is invalid").format(text if name in _REFUSALS else word))
    return word


def _read_adapter(properties: Mapping[str, str], found: dict[str, Any]) -> None:
    """Images from VMware name their disks' bus by its controller."""
    adapter = properties.get("vmware_adaptertype")
    if adapter == "ide":
        found.setdefault("hw_disk_bus", "ide")
    elif adapter:
        found.setdefault("hw_disk_bus", "scsi")
        found.setdefault("hw_scsi_model", adapter)


def _read_numbered(found: dict[str, Any], name: str) -> None:
    """`name.0`, `name.1`... become a list of numbers."""
    values: list[int] = []
    while len(values) < _MOST_NODES and (key := f"{name}.{len(values)}") in found:
        values.append(int(found[key]))
    if values:
        found[name] = values
