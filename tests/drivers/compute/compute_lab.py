# SPDX-License-Identifier: Apache-2.0
"""What the compute driver tests need: a guest of one sector, disks, taps in a namespace of the test, a host."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from cumulet.kernel import run
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.link.host import Host
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage.contract import FileDisk, HostVolumes
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.types import VolumeSpec
from cumulet.settings.compute import Compute

T = TypeVar("T")

# tiny_guest.S, assembled.
SECTOR = (
    bytes.fromhex(
        "fa31c08ed8ba0206b80001efbe457cbaf803fcac84c07403eeebf8ba0006edf6c4017519ba10ae6631c066efba04ae66ed6685c074e5ba08ae66"
        "efebdeba0406b80020eff472656164790d0a"
    ).ljust(510, b"\0")
    + b"\x55\xaa"
)
DEAF_SECTOR = bytes.fromhex("faf4ebfc").ljust(510, b"\0") + b"\x55\xaa"  # cli; hlt; again
IMAGE_SIZE = 1 << 20
RESUMES = True  # whether servers that ran come back with their machine
CLONE_NEWNET = 0x40000000
TUNGETDEVNETNS = 0x54E3


class LabSupplies:
    """`Supplies` on plain files; taps, if any, live in a network namespace of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.closed_taps: list[str] = []
        self.closed_volumes: list[str] = []
        self._queues: dict[str, int] = {}

    def add_image(self, image_id: str, sector: bytes = SECTOR) -> None:
        (self.folder / image_id).write_bytes(sector.ljust(IMAGE_SIZE, b"\0"))

    def add_volume(self, volume_id: str, size: int = 1 << 20) -> Path:
        path = self.folder / f"{volume_id}.qcow2"
        run.run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(size)])
        return path

    def base(self, image_id: str) -> Path:
        return self.folder / image_id

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        name, first = f"t{port_id[:8]}", self._queues.get(port_id)
        if not multi_queue or first is None:
            made = in_namespace(lambda: make_tap(name, multi_queue=multi_queue))
            if multi_queue:
                self._queues[port_id] = os.dup(made)
            return made
        home = fcntl.ioctl(first, TUNGETDEVNETNS)
        return in_namespace(lambda: make_tap(name, multi_queue=True), home)

    def close_tap(self, port_id: str) -> None:
        self.closed_taps.append(port_id)

    def open_volume(self, volume: VolumeSpec, *, served: bool = False) -> Disk:
        place = f"-{volume.backend}" if volume.backend else ""
        return Disk(path=str(self.folder / f"{volume.volume_id}{place}.qcow2"), format="qcow2")

    def grow(self, _volume_id: str, _size: int, *, generation: int = 0) -> bool:
        return False

    # The same under the contracts' names, for the agent.
    def close(self, volume_id: str) -> None:
        self.closed_volumes.append(volume_id)

    def open(self, volume_id: str, **_words: object) -> FileDisk:
        return FileDisk(path=self.folder / f"{volume_id}.qcow2", format="qcow2")


def make_host(folder: Path, supplies: LabSupplies, driver: str, accelerator: str = "tcg", uri: str = "") -> Any:
    """A host with all contracts on `supplies`; the events that it emits stand in `events`."""
    from cumulet.services.image.contract import HostImages
    from cumulet.services.network.contract import HostPorts
    from cumulet.settings.devices import Devices, FakeMachine, Pci

    contracts = Contracts()
    for protocol in (HostVolumes, HostImages, HostPorts):
        contracts.offer(protocol, lambda: supplies)
    events: list[tuple[str, dict[str, Any]]] = []
    host = Host(
        name="lab",
        state=folder,
        run_dir=folder / "run",
        settings=SimpleNamespace(
            compute=Compute(
                driver=driver,
                accelerator=accelerator,
                libvirt_uri=uri,
                stop_timeout=5.0,
                resume_guests_state_on_host_boot=RESUMES,
            ),
            pci=Pci(),
            devices=Devices(),
            fake_machine=FakeMachine(),
        ),
        loop=Loop(),
        contracts=contracts,
        emit=lambda name, body: events.append((name, body)),
        call=lambda *_: None,
    )
    return SimpleNamespace(host=host, events=events)


def process_of(server_id: str) -> int:
    """The number of the QEMU that runs a server, whoever started it."""
    wanted = [b"-uuid", server_id.encode()]
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in map(list, pairwise((folder / "cmdline").read_bytes().split(b"\0"))):
                return int(folder.name)
    raise AssertionError(f"no QEMU runs {server_id}")


def in_namespace(work: Callable[[], T], home: int = -1) -> T:
    """Do `work` in the network namespace `home`, or a fresh one, which lives for as long as what was opened in it."""
    found: list[T] = []

    def body() -> None:
        library = ctypes.CDLL(None, use_errno=True)
        if (library.unshare(CLONE_NEWNET) if home < 0 else library.setns(home, CLONE_NEWNET)) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        found.append(work())

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return found[0]


def make_tap(name: str, *, multi_queue: bool = False) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR)
    flags = 0x0002 | 0x1000 | 0x4000 | (0x0100 if multi_queue else 0)  # TAP, NO_PI, VNET_HDR, MULTI_QUEUE
    fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", name.encode(), flags))
    return tap
