# SPDX-License-Identifier: Apache-2.0
"""What a host is asked to do with volumes while it is killed: each verb, on closed, attached and exported volumes.

A story prepares a host, asks it one verb, and knows the way back. What must be there in the end is not written here: it
is what was there when nobody died.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kills.host_machine import MIB, PASSPHRASE, START, RealHost, put

A, B, C, S, T, SERVER, IMAGE = (f"{letter * 8}-0000-4000-8000-00000000000{letter}" for letter in "abcdef9")
NAMES = {A: "A", B: "B", C: "C", S: "S", T: "T", SERVER: "SERVER", IMAGE: "IMAGE"}
SIZE = 4 * MIB
STORED = {"container": "c", "name": "one"}
PARENT = {"container": "c", "name": "zero"}
CONTAINER = {"cipher": "aes-xts-plain64", "key_size": 256, "passphrase": PASSPHRASE}
SPEC = {"id": SERVER, "vcpus": 1, "ram": 32, "image_id": IMAGE, "image_format": "raw"}
LIMITS = {"total_bytes_sec": 1 << 20, "total_iops_sec": 100}

Work = Callable[[RealHost], Any]
Body = dict[str, Any]


@dataclass(frozen=True)
class Story:
    """`verb` with the body that `body` makes, once `prepare` was done.

    `undo` is asked of the host where a flow turns back. `later` is a volume that somebody writes to in the end, when
    the verb comes once more, late. `servers` says that the host has them, `threads` that places come in no order,
    `far` that there is another host, which is asked. `secret` volumes never hold the same twice, `spoilt` ones hold
    anything on the way back.
    """

    verb: str
    body: Callable[[RealHost], Body]
    prepare: tuple[Work, ...] = ()
    undo: Work | None = None
    later: str = ""
    servers: bool = False
    threads: bool = False
    far: bool = False
    secret: tuple[str, ...] = ()
    spoilt: tuple[str, ...] = ()


def file_of(host: RealHost, volume: str) -> Path:
    """Where the volume is; the newer place of one that moved."""
    return max(host.state.glob(f"block_storage/**/volumes/{volume}.*"), key=lambda path: path.stat().st_mtime_ns)


def volume(key: str, backend: str = "file", size: int = SIZE) -> Work:
    """One with content of its own."""

    def work(host: RealHost) -> None:
        host.ask("volume.create", id=key, size=size, backend=backend)
        put(file_of(host, key), f"{NAMES[key]} was here. ".encode() * 5000, MIB)

    return work


def asked(verb: str, **body: Any) -> Work:
    return lambda host: host.ask(verb, **body)


def written(key: str, text: bytes) -> Work:
    return lambda host: put(file_of(host, key), text, 0)


def stranger(name: str, kind: str = "volumes") -> Work:
    """A file that an operator has put there."""

    def work(host: RealHost) -> None:
        host.ask("volume.create", id=C, size=SIZE, backend="san" if name.endswith(".raw") else "file")
        source = file_of(host, C)
        put(source, b"stranger " * 4000, MIB)
        source.rename(host.state / "block_storage" / "adoption" / kind / name)

    return work


def exported(key: str, protocol: str = "nbd", **words: Any) -> Work:
    backend = "san" if protocol == "iscsi" else "file"
    said = {"generation": 1, "client": "near", "protocol": protocol, "backend": backend, **words}
    return lambda host: host.export(key, **said)


def server(host: RealHost) -> None:
    host.ask("server.build", spec=SPEC)


def disk(key: str, host: RealHost, protocol: str = "", **words: Any) -> Body:
    """What a server is told of a volume; with a `protocol` of one that is exported to its host."""
    found: Body = {"volume_id": key, "device": "/dev/vdb", "generation": 1, **words}
    if protocol:
        found["remote"] = exported(key, protocol)(host)
    return found


def attached(key: str, protocol: str = "", **words: Any) -> Work:
    return lambda host: host.ask("server.attach_volume", id=SERVER, volume=disk(key, host, protocol, **words))


def detached(key: str) -> Work:
    return lambda host: host.ask("server.detach_volume", id=SERVER, volume_id=key)


def let_go(key: str) -> Work:
    """This host stands for another one too: what its server has let go of it does not export to itself any more."""

    def work(host: RealHost) -> None:
        detached(key)(host)
        exported(key)(host)

    return work


def _is(**body: Any) -> Callable[[RealHost], Body]:
    return lambda _host: body


def _plugs(key: str, protocol: str = "", **words: Any) -> Callable[[RealHost], Body]:
    return lambda host: {"id": SERVER, "volume": disk(key, host, protocol, **words)}


def _swaps(**words: Any) -> Callable[[RealHost], Body]:
    return lambda host: {"id": SERVER, "volume_id": A, "volume": disk(B, host, generation=2), **words}


def _export(key: str, protocol: str = "nbd", generation: int = 1, client: str = "near", **words: Any) -> Body:
    backend = "san" if protocol == "iscsi" else "file"
    return {"id": key, "generation": generation, "client": client, "protocol": protocol, "backend": backend, **words}


_snapped = asked("volume.snapshot", id=S, volume_id=A)
_gone = asked("volume.delete", id=B)
_snapshot_gone = asked("volume.delete_snapshot", id=S)
_settled: Work = lambda host: host.ask("server.swap_volume", **_swaps(settle=True)(host))  # noqa: E731
_GROUP = [{"id": key, "volume_id": of, "attached": True, "generation": 1} for key, of in ((S, A), (T, B))]


def _group_gone(host: RealHost) -> None:
    for key in (S, T):
        host.ask("volume.delete_snapshot", id=key)


def _written_before(host: RealHost) -> None:
    """A first backup, and a change since."""
    host.ask("volume.snapshot", id=T, volume_id=A)
    host.ask("backup.write", stored=PARENT, snapshot_id=T, volume_id=A, drop=True)
    put(file_of(host, A), b"changed" * 9000, 2 * MIB)
    host.ask("volume.snapshot", id=S, volume_id=A)


def _write(**words: Any) -> Callable[[RealHost], Body]:
    return _is(stored=STORED, snapshot_id=S, volume_id=A, about={"size": 1}, **words)


def _stored(host: RealHost) -> None:
    host.ask("backup.write", stored=STORED, snapshot_id=S, volume_id=A, drop=True)


def _restore(key: str, **words: Any) -> Callable[[RealHost], Body]:
    return _is(id=key, size=SIZE, stored=STORED, operation="1", **words)


def _recode(operation: str = "1", **words: Any) -> Callable[[RealHost], Body]:
    return _is(id=A, size=SIZE, source="file", backend="file", operation=operation, **words)


def _encrypted(host: RealHost) -> None:
    host.ask("volume.recode", **_recode("0", container=CONTAINER)(host))


def _from_near(host: RealHost) -> Body:
    """Asked of the far host: the near one is its `peer`."""
    remote = exported(A, client="far", generation=7)(host.peer)  # type: ignore[attr-defined]
    return {"id": A, "size": SIZE, "operation": "7", "remote": remote}


STORIES: dict[str, Story] = {
    "create blank": Story("volume.create", _is(id=B, size=SIZE), (), _gone, B),
    "create raw": Story(
        "volume.create", _is(id=B, size=SIZE, backend="san"), (), asked("volume.delete", id=B, backend="san"), B
    ),
    "create from image": Story("volume.create", _is(id=B, size=SIZE, image_id=IMAGE), (), _gone, B),
    "create encrypted": Story(
        "volume.create", _is(id=B, size=8 * MIB, image_id=IMAGE, container=CONTAINER), (), _gone, secret=(B,)
    ),
    "create from snapshot": Story(
        "volume.create", _is(id=B, size=2 * SIZE, snapshot_id=S), (volume(A), _snapped), _gone, B
    ),
    "clone": Story("volume.create", _is(id=B, size=2 * SIZE, source_volume_id=A), (volume(A),), _gone, B),
    "clone attached": Story(
        "volume.create", _is(id=B, size=2 * SIZE, source_volume_id=A, source_generation=1),
        (volume(A), server, attached(A)), _gone, B, servers=True,
    ),
    "clone exported": Story(
        "volume.create", _is(id=B, size=2 * SIZE, source_volume_id=A, source_generation=1), (volume(A), exported(A)),
        _gone, B,
    ),
    "delete": Story("volume.delete", _is(id=A), (volume(A),)),
    "delete snapshot": Story("volume.delete_snapshot", _is(id=S), (volume(A), _snapped)),
    "extend": Story("volume.extend", _is(id=A, size=2 * SIZE), (volume(A),), later=A),
    "extend raw": Story("volume.extend", _is(id=A, size=2 * SIZE, backend="san"), (volume(A, "san"),), later=A),
    "extend attached": Story(
        "volume.extend", _is(id=A, size=2 * SIZE, attached=True, generation=1), (volume(A), server, attached(A)),
        servers=True,
    ),
    "extend exported": Story(
        "volume.extend", _is(id=A, size=2 * SIZE, attached=True, generation=1), (volume(A), exported(A))
    ),
    "snapshot": Story("volume.snapshot", _is(id=S, volume_id=A), (volume(A),), _snapshot_gone),
    "snapshot attached": Story(
        "volume.snapshot", _is(id=S, volume_id=A, attached=True, generation=1), (volume(A), server, attached(A)),
        _snapshot_gone, servers=True,
    ),
    "snapshot exported": Story(
        "volume.snapshot", _is(id=S, volume_id=A, attached=True, generation=1), (volume(A), exported(A)),
        _snapshot_gone,
    ),
    "snapshot over iSCSI": Story(
        "volume.snapshot", _is(id=S, volume_id=A, attached=True, generation=1, backend="san"),
        (volume(A, "san"), exported(A, "iscsi")), asked("volume.delete_snapshot", id=S, backend="san"),
    ),
    "group snapshot": Story("volume.snapshot_group", _is(snapshots=_GROUP), (volume(A), volume(B)), _group_gone),
    "group snapshot attached": Story(
        "volume.snapshot_group", _is(snapshots=_GROUP),
        (volume(A), volume(B), server, attached(A), attached(B, device="/dev/vdc")), _group_gone, servers=True,
    ),
    "group snapshot exported": Story(
        "volume.snapshot_group", _is(snapshots=_GROUP), (volume(A), volume(B), server, attached(A), exported(B)),
        _group_gone, servers=True, threads=True,
    ),
    "revert": Story(
        "volume.revert", _is(id=A, snapshot_id=S, operation="1"), (volume(A), _snapped, written(A, b"spoilt")), later=A
    ),
    "reimage": Story(
        "volume.reimage", _is(id=A, image_id=IMAGE, image_format="raw", operation="1"), (volume(A),), later=A
    ),
    "back up": Story("backup.write", _write(drop=True), (volume(A), _snapped)),
    "back up what changed": Story(
        "backup.write", _write(parent=PARENT), (volume(A), _written_before), asked("backup.delete", **STORED)
    ),
    "delete backup": Story("backup.delete", _is(**STORED), (volume(A), _snapped, _stored)),
    "restore": Story("backup.restore", _restore(B, new=True), (volume(A), _snapped, _stored), later=B),
    "restore over": Story(
        "backup.restore", _restore(A), (volume(A), _snapped, _stored, written(A, b"spoilt")), later=A
    ),
    "adopt": Story(
        "volume.adopt", _is(kind="volume", id=B, name="found.qcow2", size=2 * SIZE), (stranger("found.qcow2"),),
        later=B,
    ),
    "adopt raw": Story(
        "volume.adopt", _is(kind="volume", id=B, name="found.raw", size=SIZE), (stranger("found.raw"),),
        later=B,
    ),
    "adopt snapshot": Story(
        "volume.adopt", _is(kind="snapshot", id=S, name="found.qcow2", size=SIZE),
        (stranger("found.qcow2", "snapshots"),), asked("volume.abandon", kind="snapshot", id=S, name="found.qcow2"),
    ),
    "abandon": Story("volume.abandon", _is(kind="volume", id=A, name="left.qcow2"), (volume(A),)),
    "move to another back end": Story(
        "volume.receive", _is(id=A, size=SIZE, operation="1", source="file", backend="san"), (volume(A),),
        asked("volume.delete", id=A, backend="san"), A,
    ),
    "move from another host": Story(
        "volume.receive", _from_near, (volume(A),), asked("volume.delete", id=A), A, far=True
    ),
    "encrypt": Story("volume.recode", _recode(container=CONTAINER), (volume(A),), later=A),
    "decrypt": Story("volume.recode", _recode(passphrase=PASSPHRASE), (volume(A), _encrypted), later=A),
    "leave": Story(
        "volume.delete", _is(id=A, backend="file"),
        (volume(A), asked("volume.receive", id=A, size=SIZE, operation="1", source="file", backend="san")),
    ),
    "upload": Story("volume.upload", _is(id=A, image_id=IMAGE, format="qcow2"), (volume(A),)),
    "upload attached": Story(
        "volume.upload", _is(id=A, image_id=IMAGE, format="raw", attached=True, generation=1),
        (volume(A), server, attached(A)), servers=True,
    ),
    "export": Story(
        "volume.export", _is(**_export(A)), (volume(A),), asked("volume.unexport", id=A, generation=1)
    ),
    "export shared": Story(
        "volume.export", _is(**_export(A, generation=2, client="far", shared=True)),
        (volume(A), exported(A, shared=True)),
    ),
    "export younger": Story(
        "volume.export", _is(**_export(A, generation=2, client="far")), (volume(A), exported(A)),
    ),
    "export over iSCSI": Story(
        "volume.export", _is(**_export(A, "iscsi")), (volume(A, "san"),), asked("volume.unexport", id=A, generation=1)
    ),
    "export shared over iSCSI": Story(
        "volume.export", _is(**_export(A, "iscsi", generation=2, client="far", shared=True)),
        (volume(A, "san"), exported(A, "iscsi", shared=True)),
    ),
    "unexport": Story("volume.unexport", _is(id=A, generation=1), (volume(A), exported(A))),
    "unexport shared": Story(
        "volume.unexport", _is(id=A, generation=2),
        (volume(A), exported(A, shared=True), exported(A, shared=True, generation=2, client="far")),
    ),
    "unexport over iSCSI": Story(
        "volume.unexport", _is(id=A, generation=1),
        (volume(A, "san"), volume(B, "san"), exported(A, "iscsi"), exported(B, "iscsi")),
    ),
    "start with exports": Story(
        START, _is(), (volume(A), volume(B), exported(A, shared=True), exported(B, client="far"))
    ),
    "start with exports over iSCSI": Story(
        START, _is(), (volume(A, "san"), volume(B, "san"), exported(A, "iscsi"), exported(B, "iscsi"))
    ),
    "start with servers": Story(
        START, _is(), (volume(A), volume(B), exported(B), server, attached(A), attached(B, "nbd", device="/dev/vdc")),
        servers=True,
    ),
    "attach": Story(
        "server.attach_volume", _plugs(A, limits=LIMITS), (volume(A), server), detached(A), servers=True
    ),
    "attach exported": Story(
        "server.attach_volume", _plugs(A, "nbd"), (volume(A), exported(A), server), let_go(A), servers=True
    ),
    "attach over iSCSI": Story(
        "server.attach_volume", _plugs(A, "iscsi"), (volume(A, "san"), exported(A, "iscsi"), server), detached(A),
        servers=True,
    ),
    "attach encrypted": Story(
        "server.attach_volume", _plugs(A, encrypted=True, attachment_id="its"),
        (asked("volume.create", id=A, size=8 * MIB, container=CONTAINER), server), detached(A), servers=True,
        secret=(A,),
    ),
    "detach": Story(
        "server.detach_volume", _is(id=SERVER, volume_id=A), (volume(A), server, attached(A)), servers=True
    ),
    "detach over iSCSI": Story(
        "server.detach_volume", _is(id=SERVER, volume_id=A),
        (volume(A, "san"), exported(A, "iscsi"), server, attached(A, "iscsi")), servers=True,
    ),
    "swap": Story(
        "server.swap_volume", _swaps(), (volume(A), volume(B), server, attached(A)), _settled, servers=True,
        spoilt=(B,),
    ),
    "swap for a larger one": Story(
        "server.swap_volume", _swaps(), (volume(A), volume(B, size=2 * SIZE), server, attached(A)), _settled,
        servers=True, spoilt=(B,),
    ),
}  # fmt: skip
