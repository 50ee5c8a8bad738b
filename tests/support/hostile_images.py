# SPDX-License-Identifier: Apache-2.0
"""Images made to attack whoever opens them, by the name of the weakness that they were first used against."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

VICTIM = b"/etc/passwd"
SECTOR = 512
QCOW2_DATA_FILE = 1 << 2
QCOW2_DATA_FILE_NAME = 0x44415441


@dataclass(frozen=True)
class Hostile:
    """An attack: the bytes, and the formats under which they are told to be harmless."""

    name: str
    content: bytes
    declared: tuple[str, ...]


def qcow2(
    *, version: int = 3, backing: bytes = b"", features: int = 0, extensions: bytes = b"", size: int = 1 << 20
) -> bytes:
    """A qcow2 of one cluster, all zeros to whoever reads it."""
    names = 1024
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, names if backing else 0, len(backing), 16, size, 0, 1, 3 << 16,
        1 << 16, 1, 0, 0,
    )  # fmt: skip
    if version >= 3:
        header += struct.pack(">QQQII", features, 0, 0, 4, 104)
    cluster = bytearray(4 << 16)
    cluster[: len(header)] = header
    cluster[len(header) : len(header) + len(extensions)] = extensions
    cluster[names : names + len(backing)] = backing
    return bytes(cluster)


def extension(kind: int, content: bytes) -> bytes:
    """A header extension of a qcow2."""
    return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)


def descriptor(kind: str = "monolithicSparse", extent: str = 'RW 2048 SPARSE "disk.vmdk"', more: str = "") -> bytes:
    """The text within a VMDK, or one that stands alone."""
    lines = (
        *("# Disk DescriptorFile", "version=1", "CID=fffffffe", "parentCID=ffffffff", f'createType="{kind}"', more),
        *("# Extent description", extent, "# The Disk Data Base", 'ddb.virtualHWVersion = "4"', ""),
    )
    return "\n".join(lines).encode()


def vmdk(text: bytes, *, capacity: int = 2048, at: int = 1, directory: int = 26, version: int = 1) -> bytes:
    """A sparse VMDK with this descriptor inside."""
    header = struct.pack("<4sIIQQQQIQQQ", b"KDMV", version, 3, capacity, 128, at, 20, 512, 21, directory, 128)
    return header.ljust(SECTOR, b"\0") + text.ljust(64 << 10, b"\0")


def vmdk_with_footer(text: bytes, **footer: int) -> bytes:
    """A VMDK for streams, whose last sectors repeat the header: here with other words."""
    end = (1 << 64) - 1
    last = vmdk(text, **{"directory": 26, **footer})[:SECTOR]
    marker = struct.pack("<QII", 1, 0, 3).ljust(SECTOR, b"\0")
    return vmdk(text, directory=end) + marker + last + bytes(SECTOR)


def vhd(kind: int) -> bytes:
    """A VHD of this disk type: 4 stands on a parent."""
    footer = bytearray(SECTOR)
    footer[:8] = b"conectix"
    struct.pack_into(">QQ", footer, 40, 1 << 20, 1 << 20)
    struct.pack_into(">I", footer, 60, kind)
    return bytes(footer) + bytes(4096) + bytes(footer)


def vdi(kind: int, parent: bytes = bytes(16)) -> bytes:
    """A VDI of this image type: 4 stands on a parent."""
    header = bytearray(SECTOR)
    struct.pack_into("<II", header, 0x40, 0xBEDA107F, 0x10001)
    struct.pack_into("<I", header, 0x4C, kind)
    struct.pack_into("<Q", header, 0x170, 1 << 20)
    header[0x1B8:0x1C8] = parent
    return bytes(header) + bytes(4096)


def vhdx(*, flags: int = 0, region: int = 1 << 20) -> bytes:
    """A VHDX whose file parameters have these flags: 2 is for one that stands on a parent."""
    content = bytearray((1 << 20) + (128 << 10))
    content[:8] = b"vhdxfile"
    metadata = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
    struct.pack_into("<4sIII16sQII", content, 192 << 10, b"regi", 0, 1, 0, metadata, region, 1 << 20, 1)
    size, parameters = "2fa54224-cd1b-4876-b211-5dbed83bf4b8", "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
    struct.pack_into("<8sHH", content, 1 << 20, b"metadata", 0, 2)
    for number, (name, length) in enumerate(((size, 8), (parameters, 8))):
        entry = struct.pack("<16sIII", uuid.UUID(name).bytes_le, (64 << 10) + 8 * number, length, 0)
        start = (1 << 20) + 32 * (number + 1)
        content[start : start + len(entry)] = entry
    struct.pack_into("<QII", content, (1 << 20) + (64 << 10), 1 << 20, 1 << 20, flags)
    return bytes(content)


def polyglot(first: bytes) -> bytes:
    """An ISO in whose unused beginning something else lies."""
    content = bytearray(first.ljust(0x9000, b"\0"))
    content[0x8000:0x8006] = b"\x01CD001"
    return bytes(content)


FLAT = descriptor("monolithicFlat", f'RW 2048 FLAT "{VICTIM.decode()}" 0')
NAMED = extension(QCOW2_DATA_FILE_NAME, VICTIM)
ATTACKS = (
    Hostile("CVE-2015-5163: a backing file", qcow2(backing=VICTIM), ("qcow2", "raw")),
    Hostile("CVE-2015-5163: a backing file of version 2", qcow2(version=2, backing=VICTIM), ("qcow2", "raw")),
    Hostile("a backing file over the network", qcow2(backing=b"nbd://127.0.0.1/x"), ("qcow2",)),
    Hostile("a backing file told in JSON", qcow2(backing=b'json:{"driver":"file","filename":"/x"}'), ("qcow2",)),
    Hostile("CVE-2022-47951: a flat extent", FLAT, ("vmdk", "raw")),
    Hostile("CVE-2022-47951: without a title", FLAT.partition(b"\n")[2], ("vmdk", "raw")),
    Hostile("CVE-2022-47951: in capitals", FLAT.replace(b"createType", b"CREATETYPE"), ("vmdk", "raw")),
    Hostile("CVE-2022-47951: below many comments", b"# x\n" * 9000 + FLAT, ("vmdk", "raw")),
    Hostile("CVE-2022-47951: within a header of no capacity", vmdk(FLAT, capacity=0), ("vmdk", "raw")),
    Hostile("CVE-2022-47951: within a header", vmdk(FLAT), ("vmdk",)),
    Hostile("an extent beside the image", descriptor(), ("vmdk",)),
    Hostile("a flat extent that calls itself sparse", vmdk(descriptor(extent='RW 1 FLAT "d" 0')), ("vmdk",)),
    Hostile("an extent elsewhere", vmdk(descriptor(extent=f'RW 1 SPARSE "{VICTIM.decode()}"')), ("vmdk",)),
    Hostile("two extents", vmdk(descriptor(extent='RW 1 SPARSE "a"\nRW 1 SPARSE "b"')), ("vmdk",)),
    Hostile("two types", vmdk(descriptor(more='createType="monolithicFlat"')), ("vmdk",)),
    Hostile("a parent", vmdk(descriptor(more=f'parentFileNameHint="{VICTIM.decode()}"')), ("vmdk", "raw")),
    Hostile("a line that nobody knows", vmdk(descriptor(more="CHANGE TRACK x")), ("vmdk",)),
    Hostile("a descriptor without an end", vmdk(descriptor().ljust(20 * SECTOR, b"#") + FLAT), ("vmdk",)),
    Hostile("a descriptor elsewhere", vmdk(descriptor(), at=9), ("vmdk",)),
    Hostile("a footer of no capacity", vmdk_with_footer(descriptor(), capacity=0), ("vmdk", "raw")),
    Hostile("a footer with another descriptor", vmdk_with_footer(descriptor(), at=9), ("vmdk",)),
    Hostile("CVE-2024-32498: a data file", qcow2(features=QCOW2_DATA_FILE, extensions=NAMED), ("qcow2", "raw")),
    Hostile("CVE-2024-32498: a data file to be used later", qcow2(extensions=NAMED), ("qcow2", "raw")),
    Hostile("a feature of the future", qcow2(features=1 << 40), ("qcow2",)),
    Hostile("a version of the future", qcow2(version=4), ("qcow2",)),
    Hostile("an extension longer than all memory", qcow2(extensions=struct.pack(">II", 1, 0xFFFFFFFF)), ("qcow2",)),
    Hostile("a disk larger than any", qcow2(size=(1 << 64) - 1), ("qcow2",)),
    Hostile("a header that ends too early", qcow2()[:90], ("qcow2", "raw")),
    Hostile("a VHD on a parent", vhd(4), ("vhd", "raw")),
    Hostile("a VDI on a parent", vdi(4), ("vdi", "raw")),
    Hostile("a VDI that names a parent", vdi(1, b"p" * 16), ("vdi",)),
    Hostile("a VHDX on a parent", vhdx(flags=2), ("vhdx", "raw")),
    Hostile("a VHDX beyond its end", vhdx(region=(1 << 64) - 512), ("vhdx",)),
    Hostile("CVE-2024-40767: a qcow2 in an ISO", polyglot(qcow2(backing=VICTIM)[:4096]), ("iso", "qcow2", "raw")),
    Hostile("CVE-2024-40767: a VMDK in an ISO", polyglot(FLAT.ljust(SECTOR)), ("iso", "vmdk", "raw")),
    Hostile("an abandoned format", b"QED\0" + bytes(4096), ("raw",)),
)
# The same makers, with nothing hostile about them.
HONEST = (
    ("qcow2", qcow2()),
    ("qcow2", qcow2(version=2)),
    ("qcow2", qcow2(extensions=extension(0x6803F857, b"names of features"))),
    ("vmdk", vmdk(descriptor())),
    ("vmdk", vmdk_with_footer(descriptor("streamOptimized"))),
    ("vhd", vhd(3)),
    ("vdi", vdi(1)),
    ("vhdx", vhdx()),
)
