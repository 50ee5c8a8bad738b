# SPDX-License-Identifier: Apache-2.0
"""One link of one host as the control plane keeps it: who it is, its stream, and the order of its news."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import orjson

from cumulet.kernel import clock, errors
from cumulet.kernel.link.names import is_host_name
from cumulet.kernel.link.peer import Peer
from cumulet.kernel.link.rows import HostRow

LOG = logging.getLogger(__name__)

MOST_NEWS = 10_000  # news of one host that may wait: who tells more tells the whole truth anew at the next connect
MOST_WORDS = 64  # characters of a version
MOST_CAPABILITIES = 16 * 1024  # bytes as JSON: all replicas read them every second


class HostInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A host that is joined. `connected_at` is in seconds since the epoch; `generation` rises with each new link."""

    name: str
    capabilities: dict[str, Any]
    version: str
    connected_at: float
    generation: int
    replica: str = ""

    @classmethod
    def of(cls, row: HostRow) -> HostInfo:
        """The host of a row."""
        return cls(
            name=row.name,
            capabilities=row.capabilities,
            version=row.version,
            connected_at=row.connected_at or row.seen_at,
            generation=row.generation,
            replica=row.replica or "",
        )


class Connection:
    """One link, from its hello to its end; all but `fingerprint` is set before anybody else sees it.

    `claimed_at` is on the monotonic clock: what the registry showed before says nothing about this link.
    """

    info: HostInfo
    peer: Peer
    claimed_at: float

    def __init__(self, fingerprint: str | None) -> None:
        self.fingerprint = fingerprint


class Lane:
    """What happened to one host, handled in threads in the order in which it happened."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._queue: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
        self._task = asyncio.ensure_future(self._run())

    def put(self, work: Callable[[], None]) -> bool:
        """Queue `work`; False where too much waits already for news to be worth adding, though it is added."""
        self._queue.put_nowait(work)
        return self._queue.qsize() <= MOST_NEWS

    def stop(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            work = await self._queue.get()
            try:
                await asyncio.get_running_loop().run_in_executor(self._pool, work)
            except Exception:
                LOG.exception("a handler of news from a host failed")


def introduce(hello: Mapping[str, Any], replica: str) -> HostInfo:
    """Who the hello speaks for. Raises Invalid."""
    name, capabilities, version = hello.get("host"), hello.get("capabilities", {}), hello.get("version", "")
    if not (isinstance(name, str) and isinstance(capabilities, dict) and isinstance(version, str)):
        raise errors.Invalid("the hello names no host")
    if not is_host_name(name):
        raise errors.Invalid(f"{name[:MOST_WORDS]!r} cannot be the name of a host")
    if not version.isprintable() or not _fits(capabilities):
        raise errors.Invalid(f"the hello of host {name} says what cannot be kept")
    return HostInfo(
        name=name,
        capabilities=capabilities,
        version=version[:MOST_WORDS],
        connected_at=clock.now(),
        generation=0,
        replica=replica,
    )


def _fits(capabilities: dict[str, Any]) -> bool:
    """Whether a row can hold them."""
    try:
        return len(orjson.dumps(capabilities)) <= MOST_CAPABILITIES
    except (TypeError, ValueError):
        return False
