# SPDX-License-Identifier: Apache-2.0
"""The parts of hosts that a server may have for itself, and those that one has: nodes, processors, pages, devices."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

MOST_CPUS = 1 << 16  # a range that goes further is nobody's wish

# What a PCI device is: one of its own, one that others are cut out of, one that is cut out of another.
PciKind: TypeAlias = Literal["type-PCI", "type-PF", "type-VF"]


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """A node's memory in pages of one `size` (KiB): how many there are, and how many are not for servers."""

    size: int
    total: int
    reserved: int = 0


class HostNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A host's NUMA node: `memory` in MiB, all of it.

    `shared` are the processors that servers share, `dedicated` those that one may have for itself. `siblings` are the
    threads of one core each, of cores that have several. `pages` are in the order of their size, those that memory is
    ordinarily made of first.
    """

    id: int
    memory: int
    shared: list[int]
    dedicated: list[int] = []
    siblings: list[list[int]] = []
    pages: list[Pages] = []
    socket: int | None = None


class PciDevice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A device that may be a server's: `address` is `0000:84:00.0`, ids have four hexadecimal digits.

    `node` is the NUMA node that it is near, None where nobody knows. `parent` is the address of what a `type-VF` is cut
    out of. `mac` is the address of a network card, `card` the network device of that
    which a `type-VF` is cut out of. `tags` are what the host's settings say of it besides
    (`pci.device_spec`).
    """

    address: str
    vendor_id: str
    product_id: str
    kind: PciKind = "type-PCI"
    node: int | None = None
    parent: str = ""
    mac: str = ""
    card: str = ""
    tags: dict[str, str] = {}


class Gpu(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A device that makes up to `total` virtual ones (mediated devices) of one `type` (`nvidia-35`)."""

    address: str
    type: str
    total: int
    node: int | None = None


class GuestNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A guest's NUMA node on one of its host: `cpus` are the guest's processors there, `memory` is in MiB.

    `pins` are pairs of a guest's processor and the host's one that it has for itself; the guest's others share those
    of the node that are shared. `page_size` is in KiB, 0 where nobody asked for pages of a size.
    """

    cpus: list[int]
    memory: int
    host_node: int
    page_size: int = 0
    pins: list[tuple[int, int]] = []


class GuestNodes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All nodes of a guest.

    The hypervisor's own threads run on the host's processors `reserved` where there are any, else with `emulator`
    `share` on those that are shared, else where the guest's processors do. `realtime` are processors of the guest that
    are never to wait for others.
    """

    nodes: list[GuestNode]
    emulator: Literal["", "share", "isolate"] = ""
    reserved: list[int] = []
    realtime: list[int] = []

    @property
    def own_cpus(self) -> set[int]:
        """The host's processors that nobody else has."""
        return {host for node in self.nodes for _, host in node.pins} | set(self.reserved)


class Passed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A host's PCI device that a server has; `alias` is the name by which it was asked for.

    `port` is the network port that it is; with `tap` the host keeps the device, and the guest has a tap on it.
    """

    address: str
    alias: str = ""
    port: str = ""
    tap: bool = False


class Mdev(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual device (mediated device) of a server, named by its `uuid`, made by the device at `parent`."""

    uuid: str
    parent: str
    type: str


class Parts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a server has of its host for itself."""

    numa: GuestNodes | None = None
    devices: list[Passed] = []
    mdevs: list[Mdev] = []

    @property
    def is_empty(self) -> bool:
        return self.numa is None and not self.devices and not self.mdevs

    @property
    def handed_over(self) -> list[Passed]:
        """The devices that the guest has itself."""
        return [each for each in self.devices if not each.tap]


def read_cpus(text: str) -> set[int]:
    """The processors of `0-3,^2,8`: those that are named, without those after `^`. ValueError for what is no set."""
    wanted: set[int] = set()
    unwanted: set[int] = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        target, plain = (unwanted, word[1:]) if word.startswith("^") else (wanted, word)
        first, dash, last = plain.partition("-")
        try:
            start, end = int(first), int(last if dash else first)
        except ValueError:
            kind = "range" if dash else "exclusion" if word.startswith("^") else "inclusion"
            raise ValueError(f"Invalid {kind} expression {word!r}") from None
        if start > end or end >= MOST_CPUS:
            raise ValueError(f"Invalid range expression {word!r}")
        target.update(range(start, end + 1))
    return wanted - unwanted
