# SPDX-License-Identifier: Apache-2.0
"""Settings of devices that servers may have for themselves, and of the machine that the fake hypervisor makes up."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cumulet.settings.base import Count, Section

# Words of one thing: `vendor_id=8086 product_id=154d`.
Words = Annotated[str, msgspec.Meta(pattern=r"^[a-z_]+=\S+( +[a-z_]+=\S+)*$")]


class Pci(Section, frozen=True, kw_only=True):
    """PCI devices, in the words of Nova's `[pci]`.

    `device_spec` says which of this host's devices servers may have: each is `vendor_id`, `product_id` and `address`
    (with `*` for any characters), all of which must fit, and further words that are kept of the device; the first that
    fits counts. `alias` says by which names flavors ask for which: `name`, `vendor_id`, `product_id`, `device_type`
    (type-PCI, type-PF, type-VF), `numa_policy` (legacy, required, preferred, socket). With `report_in_placement` each
    device is a provider of a resource class of its kind.
    """

    device_spec: tuple[Words, ...] = ()
    alias: tuple[Words, ...] = ()
    report_in_placement: bool = False


class Devices(Section, frozen=True, kw_only=True):
    """Virtual devices (mediated devices).

    `enabled_mdev_types` are the types that this host's devices make, each one type: `nvidia-35` all that can,
    `nvidia-36=0000:84:00.0` the one at that address.
    """

    enabled_mdev_types: tuple[Annotated[str, msgspec.Meta(pattern=r"^[^ =]+(=[0-9a-f:.]+)?$")], ...] = ()


class FakeMachine(Section, frozen=True, kw_only=True):
    """What the fake hypervisor says of its machine.

    It has `nodes` NUMA nodes, among which `cpus`, in cores of `threads`, `memory` (MiB) and `huge_pages` (of 2 MiB) are
    divided evenly. `devices` are its PCI devices: `address`, `vendor_id`, `product_id`, `kind`, `node`, `parent`;
    `gpus` make virtual devices: `address`, `type`, `total`, `node`.
    """

    nodes: Count = 1
    cpus: Count = 64
    threads: Count = 1
    memory: Count = 65536
    huge_pages: Annotated[int, msgspec.Meta(ge=0)] = 0
    devices: tuple[Words, ...] = ()
    gpus: tuple[Words, ...] = ()
