# SPDX-License-Identifier: Apache-2.0
"""Guests in one sector that write to their own disks."""

from __future__ import annotations

import struct

SECTOR, WRITES = 512, 1024
# tests/drivers/block_storage/writing_guest.S, assembled.
WRITER = (
    bytes.fromhex(
        "31c08ed88ed0bc007c8816717c66c706747c0000000066ff06747c66a1747c66a3008066a3807cbe787c8a16717cb80043cd13722966a174"
        "7ca80f7505b02ee8230066813e747c0004000072c9be6a7cac84c07405e80d00ebf6faf4ebfcb021e80200ebc2baf803eec3646f6e650d0a"
        "0000669000000000100001000080"
    ).ljust(510, b"\0")
    + b"\x55\xaa"
)
# tests/unit/block_storage/checking_guest.S, assembled.
_CHECKER = bytes.fromhex(
    "31c08ed88ec08ed0bc007c8816807c66c706847c0000000066ff06847cfcbf008066a1847c66ab66a1fa7d66ab663306847cb97e006669c00d661900"
    "66055ff36e3c66abe2ef66a1847c66486625ff030000664066a3907cbe887c8a16807cb80043cd13720ef606847c0f75abb02ee80900eba4b021e802"
    "00ebddbaf803eec3008d740000000000100001000080"
)


def checker(mark: int) -> bytes:
    """The first sector of a guest that writes WRITES sectors over and over, each full of what follows from `mark`."""
    return _CHECKER.ljust(506, b"\0") + struct.pack("<I", mark) + b"\x55\xaa"


def check(content: bytes, mark: int, acknowledged: int) -> None:
    """Assert that a disk has all of the first `acknowledged` writes of the guest, or later ones, and nothing else."""
    for sector in range(1, WRITES + 1):
        found = struct.unpack_from("<128I", content, sector * SECTOR)
        last = acknowledged - (acknowledged - sector) % WRITES
        if not any(found):
            assert last < 1, f"sector {sector} lacks write {last}"
            continue
        assert found == written(found[0], mark), f"sector {sector} holds what nobody wrote: {found[:4]}"
        assert found[0] % WRITES == sector % WRITES, f"sector {sector} holds write {found[0]}"
        assert found[0] >= last, f"sector {sector} has write {found[0]}, and {last} was acknowledged"


def written(count: int, mark: int) -> tuple[int, ...]:
    """The numbers that the guest writes as its write `count`, which is 1 for the first."""
    number, numbers = count ^ mark, []
    for _ in range(126):
        number = (number * 1664525 + 1013904223) % (1 << 32)
        numbers.append(number)
    return (count, mark, *numbers)
