# SPDX-License-Identifier: Apache-2.0
"""Guests write checksummed blocks while the control plane, the agent, the exporter and QEMU are killed at random.

Every write that a guest was told to be done is there afterwards, in the volume that it was for, and nothing else is.
One volume is opened by its server's QEMU, one comes over NBD with TLS from an export that servers share.
"""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_killed import KilledCloud

from support.syncs import openers
from support.waiting import until
from support.writing_guest import SECTOR, WRITES, check, checker, written

COMPUTE = "/compute/v2.1"
KILLS = int(os.environ.get("WALKS", "3"))
SEED = int(os.environ.get("WALK_SEED", "20261122"))
LEAKS = 3  # what qemu-img check answers where room was taken and not used: nothing is lost by it


class Guest:
    """A server that runs from a volume of its own."""

    def __init__(self, cloud: KilledCloud, folder: Path, mark: int, volume_type: str | None) -> None:
        self._cloud, self._folder, self.mark = cloud, folder, mark
        words = {"size": 1} if volume_type is None else {"size": 1, "volume_type": volume_type}
        self.volume = cloud.ask("POST", "/volumes", {"volume": words}).json()["volume"]["id"]
        until(lambda: cloud.status("volume", self.volume) == "available")
        piece = folder / "piece"
        piece.write_bytes(checker(mark))
        self.file = cloud.store / "volumes" / f"{self.volume}.qcow2"
        self._qemu("qemu-io", "-f", "qcow2", "-c", f"write -s {piece} 0 512", self.file)
        cloud.ask("POST", f"/volumes/{self.volume}/action", {"os-set_bootable": {"bootable": True}})

    def boot(self, flavor: str) -> None:
        disk = {"boot_index": 0, "uuid": self.volume, "source_type": "volume", "destination_type": "volume"}
        server = {"name": "writer", "flavorRef": flavor, "networks": "none", "block_device_mapping_v2": [disk]}
        answer = self._cloud.ask("POST", "/servers", {"server": server}, COMPUTE)
        assert answer.status_code == 202, answer.text
        self.server = answer.json()["server"]["id"]
        self.goes_on()

    def told(self) -> int:
        """How many of its writes the guest knows to be done."""
        logs = list(self._cloud.settings.state.rglob(f"{self.server}/console.log"))
        text = logs[0].read_bytes() if logs else b""
        assert b"!" not in text
        return text.count(b".") * 16

    def goes_on(self) -> None:
        before = self.told()
        until(lambda: self.told() > before + 16)

    def kill_export(self) -> None:
        _kill(self._cloud.store / "exports" / self.volume)

    def kill(self) -> int:
        """End its QEMU and its exporter; how much it was told."""
        told = self.told()
        _kill(next(self._cloud.settings.state.rglob(f"{self.server}/console.log")).parent)
        self._cloud.kill("agent")  # which would start the exporter again
        self.kill_export()
        until(lambda: not openers(self.file))
        return told

    def content(self) -> bytes:
        checked = subprocess.run(["qemu-img", "check", "-q", self.file], capture_output=True)
        assert checked.returncode in (0, LEAKS), checked.stderr
        raw = self._folder / "raw"
        self._qemu("qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=512", f"count={WRITES + 1}", f"if={self.file}",
                   f"of={raw}")  # fmt: skip
        return raw.read_bytes()

    @staticmethod
    def _qemu(*words: Any) -> None:
        subprocess.run(words, check=True, capture_output=True)


def _kill(folder: Path) -> None:
    for path in folder.glob("*.pid"):
        try:
            os.kill(int(path.read_text()), signal.SIGKILL)
        except (ProcessLookupError, ValueError, FileNotFoundError):
            continue


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[KilledCloud]:
    made = KilledCloud(tmp_path, {"compute.driver": "qemu", "compute.accelerator": "tcg"})
    try:
        made.start("serve")
        made.ask("GET", "/volumes")
        made.start("agent")
        until(lambda: len(made.ask("GET", "/os-services").json()["services"]) == 3)
        yield made
    finally:
        for path in made.settings.state.rglob("*.pid"):
            _kill(path.parent)
        made.stop()


@pytest.mark.timeout(300 + 10 * KILLS)
def test_what_guests_were_told_to_be_written_is_there_whatever_dies(cloud: KilledCloud, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    shared = {"name": "shared", "extra_specs": {"multiattach": "<is> True"}}
    cloud.ask("POST", "/types", {"volume_type": shared})
    flavor = {"name": "tiny", "ram": 32, "vcpus": 1, "disk": 0}
    made = cloud.ask("POST", "/flavors", {"flavor": flavor}, COMPUTE).json()["flavor"]["id"]
    guests = [Guest(cloud, tmp_path, dice.getrandbits(32), each) for each in (None, "shared")]
    for guest in guests:
        guest.boot(made)
    far = guests[1]
    assert [path.name for path in (cloud.store / "exports").iterdir()] == [far.volume]

    def restart(part: str) -> None:
        cloud.kill(part)
        far.kill_export()
        cloud.revive(part)

    deaths: list[Callable[[], None]] = [far.kill_export, lambda: restart("agent"), lambda: restart("serve")]
    for number in range(KILLS):
        time.sleep(dice.random() * 0.2)
        deaths[number % 3]()
        for guest in guests:
            guest.goes_on()
    told = [guest.kill() for guest in guests]
    for guest, acknowledged in zip(guests, told, strict=True):
        assert acknowledged > 0
        check(guest.content(), guest.mark, acknowledged)


def test_what_is_lost_or_another_guests_is_noticed() -> None:
    mark, whole = 7, bytearray((WRITES + 1) * SECTOR)
    for count in range(1, WRITES + 17):
        struct.pack_into("<128I", whole, (1 + (count - 1) % WRITES) * SECTOR, *written(count, mark))
    for acknowledged in (0, WRITES, WRITES + 16):
        check(bytes(whole), mark, acknowledged)
    lost, other, misplaced = written(3, mark), written(WRITES + 3, 8), written(WRITES + 4, mark)
    for sector, found in ((3, lost), (3, other), (3, misplaced), (40, (0,) * 128)):
        broken = whole.copy()
        struct.pack_into("<128I", broken, sector * SECTOR, *found)
        with pytest.raises(AssertionError):
            check(bytes(broken), mark, WRITES + 16)
