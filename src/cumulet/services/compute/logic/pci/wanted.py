# SPDX-License-Identifier: Apache-2.0
"""The devices that a flavor asks for by the names that the settings give them (`pci.alias`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import msgspec

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.guest import exclusive
from cumulet.services.compute.logic.guest.agreement import Wishes
from cumulet.services.network.contract import ResourceRequest

SPEC = "pci_passthrough:alias"
KINDS = ("type-PCI", "type-PF", "type-VF")
_USUAL_POLICY = "legacy"
_SPOKEN = ("name", "numa_policy", "device_type")


class Alias(msgspec.Struct, frozen=True):
    """A name for devices: how near they are to be, and what one must be, in any of several ways (`vendor_id`...)."""

    policy: str
    specs: tuple[Mapping[str, str], ...]


class DeviceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`count` devices of an alias, or the one that a `port` is to be (see `Passed`)."""

    alias: str
    count: int
    policy: str
    specs: tuple[Mapping[str, str], ...]
    port: str = ""
    tap: bool = False


def of(wishes: Wishes, defined: tuple[str, ...]) -> tuple[DeviceRequest, ...]:
    """What is asked for, of the aliases that are `defined`. Invalid, in Nova's words, for one that is not."""
    policy = exclusive.pci_policy(wishes)
    text = wishes.flavor.extra_specs.get(SPEC, "")
    if not text.strip():
        return ()
    known = aliases(defined)
    found: list[DeviceRequest] = []
    for word in text.split(","):
        name, _, count = word.strip().rpartition(":")
        name = name.strip()
        if name not in known:
            raise Invalid(f"PCI alias {name or word.strip()} is not defined", code="PciRequestAliasNotDefined")
        if not (count.isascii() and count.isdigit()):
            raise Invalid(f"'{text}' asks for no number of devices.", code="PciInvalidAlias")
        alias = known[name]
        found.append(DeviceRequest(alias=name, count=int(count), policy=policy or alias.policy, specs=alias.specs))
    return tuple(each for each in found if each.count)


def of_ports(ports: Iterable[ResourceRequest]) -> tuple[DeviceRequest, ...]:
    """What ports are to be."""
    return tuple(
        DeviceRequest(
            alias="",
            count=1,
            policy=each.device.policy or _USUAL_POLICY,
            specs=(
                {
                    "physical_network": each.device.physical_network,
                    "kind": "type-PF" if each.device.whole else "type-VF",
                    **({"card": each.device.card} if each.device.card and not each.device.whole else {}),
                },
            ),
            port=each.port_id,
            tap=each.device.tap,
        )
        for each in ports
        if each.device is not None
    )


@cache
def aliases(defined: tuple[str, ...]) -> dict[str, Alias]:
    """The settings' aliases by name. Invalid for one that says nothing of its devices, or two of a name that differ."""
    found: dict[str, Alias] = {}
    for text in defined:
        words = {name: value for name, _, value in (word.partition("=") for word in text.split())}
        name, policy = words.get("name", ""), words.get("numa_policy", _USUAL_POLICY)
        spec = {key: value for key, value in words.items() if key not in _SPOKEN}
        if "device_type" in words:
            spec["kind"] = words["device_type"]
        if not name or policy not in exclusive.PCI_POLICIES or spec.get("kind", KINDS[0]) not in KINDS:
            raise Invalid(f"Invalid PCI alias definition: {text}", code="PciInvalidAlias")
        if not spec.keys() >= {"vendor_id", "product_id"} and "resource_class" not in spec:
            raise Invalid(
                f"Invalid PCI alias definition: The PCI alias(es) {name} does not have vendor_id and product_id fields "
                "set or resource_class field set.",
                code="PciInvalidAlias",
            )
        earlier = found.get(name)
        if earlier is not None and earlier.policy != policy:
            raise Invalid(
                f"Invalid PCI alias definition: NUMA policy mismatch for alias '{name}'", code="PciInvalidAlias"
            )
        found[name] = Alias(policy, (*(earlier.specs if earlier is not None else ()), spec))
    return found
