# SPDX-License-Identifier: Apache-2.0
"""Files of rings in Swift's two formats, and look-ups in them.

What look-ups find is what Swift 2.38.3 said of the same rings, which it read from files that ours wrote.
"""

from __future__ import annotations

import gc
import gzip
import hashlib
import json
import struct
import subprocess
import sys
from array import array
from itertools import islice

import msgspec
import pytest

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.ring import builders, files
from cumulet.services.object_store.ring.builder import Builder
from cumulet.services.object_store.ring.devices import Device
from cumulet.services.object_store.ring.ring import Ring, RingFile

NAMES = [
    pytest.param(("AUTH_a",), 28, [16, 21, 2], id="account"),
    pytest.param(("AUTH_a", "c"), 18, [14, 19, 0], id="container"),
    pytest.param(("AUTH_a", "c", "o"), 16, [23, 4, 10], id="object"),
    pytest.param(("AUTH_é", "☃", "deep/er/na me"), 7, [3, 9, 14], id="letters"),
    pytest.param(("a", "b", "/x//"), 56, [9, 14, 19], id="slashes"),
]
# By power, replicas and partition.
HANDOFFS = [
    pytest.param(6, 3, 0, [19, 2, 10, 15, 8, 13, 17, 9, 16, 20, 22, 3, 14, 21, 23, 4, 7, 12, 18, 1], id="first"),
    pytest.param(6, 3, 13, [4, 15, 19, 2, 10, 17, 8, 13, 9, 12, 22, 20, 3, 14, 16, 21, 23, 7, 18, 1], id="middle"),
    pytest.param(6, 3, 63, [8, 13, 15, 6, 11, 9, 16, 7, 14, 0, 18, 20, 1, 3, 23, 19, 2, 10, 4, 21], id="last"),
    pytest.param(6, 2.5, 0, [19, 2, 10, 15, 8, 17, 9, 16, 13, 22, 14, 21, 23, 4, 7, 12, 18, 20, 1, 3], id="fraction"),
    pytest.param(6, 2.5, 63, [8, 13, 15, 22, 6, 11, 9, 16, 7, 14, 0, 18, 20, 1, 3, 23, 19, 2, 10, 4, 21], id="without"),
    pytest.param(18, 2, 0, [7, 17, 4, 3, 2, 23, 22, 21, 20, 1, 12, 18, 11, 16, 10, 15, 9, 14, 8, 13, 19], id="steps"),
]  # fmt: skip


def plain(power: int = 6, replicas: float = 3) -> RingFile:
    """A ring by rule, without the device 5."""
    ids = [number for number in range(24) if number != 5]
    devices = {}
    for n in ids:
        address = f"10.{1 + n % 2}.{n % 3}.{n % 4}"
        place = {"id": n, "region": 1 + n % 2, "zone": n % 3, "ip": address, "port": 6200 + n, "device": f"d{n}"}
        devices[n] = msgspec.convert(place | {"weight": 100.0}, Device)
    rows = []
    for replica in range(int(replicas + 0.9)):
        parts = int(min(1.0, replicas - replica) * (1 << power))
        rows.append(array("I", [ids[(part * 7 + replica * 5 + part // 8) % 23] for part in range(parts)]))
    return RingFile(part_power=power, devices=[devices.get(n) for n in range(24)], rows=rows, version=7)


@pytest.mark.parametrize(("name", "part", "ids"), NAMES)
def test_names_are_where_swift_has_them(name: tuple, part: int, ids: list[int]) -> None:
    ring = Ring(plain(), "pre", "suf")
    for _ in range(2):
        found, devices = ring.find(*name)
        assert (found, [each.id for each in devices]) == (part, ids)
    assert [each.id for each in ring.nodes(part)] == ids


def test_a_name_is_hashed_alike_without_pythons_own_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_md5", None)
    assert Ring(plain(), "pre", "suf").find("AUTH_a", "c", "o")[0] == 16


def test_a_partition_without_its_last_replica() -> None:
    ring = Ring(plain(replicas=2.5), "pre", "suf")
    assert ring.replicas == 2.5
    assert [each.id for each in ring.find("AUTH_a")[1]] == [16, 21, 2]
    assert [each.id for each in ring.find("a", "b", "/x//")[1]] == [9, 14]


@pytest.mark.parametrize(("power", "replicas", "part", "ids"), HANDOFFS)
def test_handoffs_are_swifts(power: int, replicas: float, part: int, ids: list[int]) -> None:
    assert [each.id for each in islice(Ring(plain(power, replicas)).handoffs(part), 99)] == ids


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("replicas", [3, 2.5, 1])
def test_what_was_written_is_read(version: files.Format, replicas: float, tmp_path) -> None:
    path = tmp_path / "object.ring.gz"
    files.write(path, plain(replicas=replicas), version)
    read = files.read(path)
    assert (read.rows, read.version, read.part_power) == (plain(replicas=replicas).rows, 7, 6)
    assert [each and each.id for each in read.devices] == [*range(5), None, *range(6, 24)]
    assert read.devices[3].replication_ip == read.devices[3].ip
    content = path.read_bytes()
    files.write(path, read, version)
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_many_devices_want_the_second_format(tmp_path) -> None:
    last = Device(id=70_000, ip="10.0.0.1", port=6200, device="d", weight=1.0)
    ring = RingFile(part_power=1, devices=[None] * 70_000 + [last], rows=[array("I", [70_000, 70_000])])
    with pytest.raises(Invalid, match="device ids below 65535"):
        files.write(tmp_path / "object.ring.gz", ring, 1)
    files.write(tmp_path / "object.ring.gz", ring, 2)
    assert list(files.read(tmp_path / "object.ring.gz").rows[0]) == [70_000, 70_000]


OLD_DEVICE = {"id": 0, "zone": 2, "ip": "10.0.0.1", "port": 6000, "device": "sda", "weight": 100.0, "meta": "old"}


def first(said: dict, rows: list[array], order: str) -> bytes:
    """A file of format 1, made by the words of the format."""
    words = json.dumps(said).encode()
    table = b"".join(struct.pack(f"{order}{len(row)}H", *row) for row in rows)
    return gzip.compress(struct.pack("!4sHI", b"R1NG", 1, len(words)) + words + table)


def test_an_old_ring_has_neither_regions_nor_addresses_for_replication(tmp_path) -> None:
    said = {"devs": [OLD_DEVICE], "part_shift": 30, "replica_count": 1, "byteorder": "big"}
    path = tmp_path / "object.ring.gz"
    path.write_bytes(first(said, [array("I", [0] * 4)], ">"))
    read = files.read(path)
    assert read.devices == [
        Device(id=0, region=1, zone=2, ip="10.0.0.1", port=6000, device="sda", weight=100.0, meta="old")
    ]
    assert (read.part_power, read.version, list(read.rows[0])) == (2, None, [0] * 4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_order_of_bytes_is_the_files_own(order: str, tmp_path) -> None:
    devices = [None] * 258 + [OLD_DEVICE | {"id": 258}]
    said = {"devs": devices, "part_shift": 31, "replica_count": 2, "byteorder": {"<": "little", ">": "big"}[order]}
    path = tmp_path / "object.ring.gz"
    path.write_bytes(first(said, [array("I", [258, 258]), array("I", [258])], order))
    assert [list(row) for row in files.read(path).rows] == [[258, 258], [258]]


def second(table: bytes, width: int, checksum: str = "") -> bytes:
    """A file of format 2, made by the words of the format; where sections lie in what is packed nobody is told."""
    raw = struct.pack("!4sH", b"R1NG", 2)
    index = {}
    said = {"part_shift": 31, "dev_id_bytes": width, "replica_count": 1.0, "version": 3}
    for name, content in (
        ("swift/ring/metadata", json.dumps(said).encode()),
        ("swift/ring/devices", json.dumps([OLD_DEVICE]).encode()),
        ("swift/ring/assignments", table),
    ):
        blob = struct.pack("!Q", len(content)) + content
        index[name] = [0, len(raw), 0, len(raw) + len(blob), "sha256", checksum or hashlib.sha256(blob).hexdigest()]
        raw += blob
    words = json.dumps(index).encode()
    at = len(raw)
    return gzip.compress(raw + struct.pack("!Q", len(words)) + words + struct.pack("!QQ", at, 0))


@pytest.mark.parametrize("width", [1, 2, 4])
def test_ids_have_as_many_bytes_as_the_second_format_says(width: int, tmp_path) -> None:
    path = tmp_path / "object.ring.gz"
    path.write_bytes(second(bytes(2 * width), width))
    assert [list(row) for row in files.read(path).rows] == [[0, 0]]


def _one(said: dict, row: list[int]) -> bytes:
    whole = {"devs": [OLD_DEVICE], "part_shift": 31, "replica_count": 1, "byteorder": "little"}
    return first({**whole, **said}, [array("I", row)], "<")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"R1NG", id="unpacked"),
        pytest.param(gzip.compress(b""), id="nothing"),
        pytest.param(gzip.compress(b"R1NG\0\3"), id="later"),
        pytest.param(gzip.compress(b"R1NG\0\1\0\0\0\1["), id="words"),
        pytest.param(gzip.compress(b"R1NG\0\1\0\0\0\2[]"), id="list"),
        pytest.param(_one({}, [0, 0])[:-9], id="cut"),
        pytest.param(_one({}, [0, 1]), id="stranger"),
        pytest.param(_one({}, [0]), id="short"),
        pytest.param(_one({"part_shift": 33}, [0, 0]), id="shift"),
        pytest.param(_one({"part_shift": -9}, [0, 0]), id="below"),
        pytest.param(_one({"part_shift": "x"}, [0, 0]), id="kind"),
        pytest.param(_one({"replica_count": 2}, [0, 0]), id="replicas"),
        pytest.param(_one({"devs": [None, OLD_DEVICE]}, [1, 1]), id="place"),
        pytest.param(_one({"devs": [{"id": 0}]}, [0, 0]), id="device"),
        pytest.param(_one({"devs": 5}, [0, 0]), id="devices"),
        pytest.param(second(bytes(4), 2, "0" * 64), id="checksum"),
        pytest.param(second(bytes(6), 3), id="width"),
        pytest.param(second(bytes(3), 2), id="odd"),
    ],
)
def test_what_is_no_ring_is_refused(content: bytes, tmp_path) -> None:
    path = tmp_path / "object.ring.gz"
    path.write_bytes(content)
    with pytest.raises(Invalid, match="is no ring"):
        files.read(path)


def test_a_builder_is_what_it_was(tmp_path) -> None:
    builder = Builder(4, 2.5, 3)
    for number in range(6):
        builder.add(Device(id=number, zone=number, ip="10.0.0.1", port=6200, device=f"d{number}", weight=number + 1.0))
    builder.set_overload(0.25)
    builder.rebalance(5.0, seed=1)
    builder.remove(3)
    path = tmp_path / "object.builder"
    builders.write(path, builder)
    again = builders.read(path)
    assert (again.table == builder.table).all()
    assert (again.moved_at == builder.moved_at).all()
    for word in ("part_power", "replicas", "min_part_hours", "overload", "version", "devices", "leaving"):
        assert getattr(again, word) == getattr(builder, word)


def test_a_builder_goes_on_from_a_ring() -> None:
    builder = builders.begun(plain(replicas=2.5), 1)
    finished = builders.finished(builder)
    assert (finished.rows, finished.devices) == (plain(replicas=2.5).rows, plain().devices)
    before = builder.table.copy()
    held = builder.held()[8]
    builder.remove(8)
    assert builder.rebalance(0, seed=1).moved >= held
    assert 8 not in builder.held()
    assert (before == builder.table).mean() > 0.5


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4", b"x" * 99, gzip.compress(b"")], ids=["empty", "zip", "words", "gzip"]
)
def test_what_is_no_builder_is_refused(content: bytes, tmp_path) -> None:
    path = tmp_path / "object.builder"
    path.write_bytes(content)
    with pytest.raises(Invalid, match="is no builder"):
        builders.read(path)


def test_a_ring_is_read_without_numpy() -> None:
    modules = "delivery, files, ring"
    words = f"import sys; from cumulet.services.object_store.ring import {modules}; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, check=True, timeout=60)
    assert done.stdout == b"False\n"


def test_devices_are_no_work_for_the_garbage_collector() -> None:
    """A quarter of a million kept places would otherwise be walked again and again."""
    assert not gc.is_tracked(plain().devices[0])
