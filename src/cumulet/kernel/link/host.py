# SPDX-License-Identifier: Apache-2.0
"""What a service's part on a host is given, and what it must offer.

`services/<type>/agent/__init__.py` exports `create(host: Host) -> HostService`; the agent process makes one of each
and joins them to the link. It may also hold `AFTER`, the names of the services that must have started before this one
(`AFTER = ("network",)`). Host code holds no database and speaks no HTTP.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from cumulet.kernel import faults
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.injection import Injection
from cumulet.kernel.loop import Loop

INVENTORY = "host.inventory"  # the verb by which a host lists all that it has, by service

Body = dict[str, Any]
DRAFT = ".new"  # what the names of records end in that are being written
Verb = Callable[[Body], Any]


class HostService(Protocol):
    """One service's part on a host."""

    @property
    def verbs(self) -> Mapping[str, Verb]:
        """Calls taken from the control plane, by name (`"server.build"`).

        Each takes the frame's body (plain msgpack data), runs in a thread, may block, and is idempotent: the same body
        twice does the work once. It returns plain data, or raises a `kernel.errors` error that the caller sees.
        """

    def start(self) -> None:
        """Bring back what the journal says should exist here; called before the link is dialled."""

    def stop(self) -> None:
        """The agent is leaving: let go of sockets and threads, leave servers and networks running."""

    def report(self) -> Body:
        """The whole truth about this service on this host, sent at each connect (plain msgpack data)."""


@runtime_checkable
class LeavesNothing(Protocol):
    """What a host service adds that keeps things on the host which outlive the agent: servers, networks, mounts."""

    def shutdown(self) -> None:
        """Take them away, servers gracefully, as `cumulet down` asks; the journal stays, so `start` brings all back.

        Called instead of `start`, on a service that was just created and never joined the link; idempotent.
        """


@runtime_checkable
class AtTheDoor(Protocol):
    """What a host service adds that its machine's owner may ask it, without the control plane (`kernel.door`)."""

    @property
    def at_the_door(self) -> Mapping[str, Verb]:
        """The verbs by name, `ingress.add`; each takes the line's other words and returns what JSON can say."""


@runtime_checkable
class Accountable(Protocol):
    """What a host service adds that has more on the host than its report tells, for `kernel.audit`."""

    def inventory(self) -> Body:
        """All that it has here, whoever knows of it (plain msgpack data)."""


@dataclass(frozen=True)
class Host:
    """The machine as a service's host part sees it.

    `emit(event, body)` queues an event for the control plane; while no link is up it is dropped, for the report at the
    next connect tells the same. `call(verb, body)` asks the control plane and blocks for its answer. `contracts` is how
    the host parts of two services meet.
    """

    name: str
    state: Path
    run_dir: Path
    settings: Any
    loop: Loop
    contracts: Contracts
    emit: Callable[[str, Body], None]
    call: Callable[..., Any]
    injection: Injection = field(default_factory=Injection)

    def journal(self, kind: str) -> Journal:
        """A durable table of records under `state`, for what must outlive the agent; asked for once, at its start."""
        folder = self.state / "journal" / kind
        for draft in folder.glob(f"*{DRAFT}"):
            draft.unlink(missing_ok=True)  # of an agent that died
        return Journal(folder)


class Journal:
    """Small records on disk, one file each, written so that a crash leaves the old or the new one whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, record: Any) -> None:
        """Store `record` (plain msgpack data) under `key`, durable when this returns."""
        path = self._path(key)
        draft = path.with_suffix(DRAFT)
        with draft.open("wb") as sink:
            sink.write(msgspec.msgpack.encode(record))
            sink.flush()
            os.fsync(sink.fileno())
        draft.rename(path)
        self._sync_folder()
        faults.inside()

    def get(self, key: str) -> Any | None:
        """The record, or None."""
        try:
            return msgspec.msgpack.decode(self._path(key).read_bytes())
        except FileNotFoundError:
            return None

    def delete(self, key: str) -> None:
        """Forget the record; nothing happens where there is none."""
        self._path(key).unlink(missing_ok=True)
        self._sync_folder()
        faults.inside()

    def items(self) -> dict[str, Any]:
        """All records by key; one that is forgotten meanwhile may be among them or not."""
        found = {path.stem: self.get(path.stem) for path in sorted(self._folder.glob("*.mp"))}
        return {key: record for key, record in found.items() if record is not None}

    def _path(self, key: str) -> Path:
        if "/" in key or key.startswith("."):
            raise ValueError(f"not a journal key: {key!r}")
        return self._folder / f"{key}.mp"

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
