# SPDX-License-Identifier: Apache-2.0
"""Sends what changes in a container to the one elsewhere that its owner has named, as Swift's container-sync does.

Each replica of the container keeps two points. What is behind the first is new: a replica sends its share of that and
moves the point to the end. What is between the second and the first was shared out before: each replica sends all of
it, which is mostly a question whether it is there, and moves the second point as far as all went well.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from cumulet.kernel import ids
from cumulet.kernel.errors import CumuletError, Invalid
from cumulet.kernel.metrics import Counter
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.drivers.web import NoAnswer, Web, WebAnswer
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.base import Engine, Name, Reading
from cumulet.services.object_store.engine.jobs.upkeep import Job, Upkeep
from cumulet.services.object_store.engine.jobs.watching import Watch, rank
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.engine.sharding.names import is_shard, root_of
from cumulet.services.object_store.logic import sync_realms
from cumulet.services.object_store.logic.sync_realms import KEY, TO, Realm, Target
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Info, Key, ObjectRow, Peer
from cumulet.services.object_store.types.objects import Version

LOG = logging.getLogger(__name__)
DEEDS = Counter("cumulet_object_sync_total", "What was sent to other clusters", ("deed",))

WATCHED = "synced"
VERSIONS = "x-container-sysmeta-versions-container"
PAGE = 100
TRIES = 3
PAUSE = 0.5  # seconds before the second try, twice that before the third

_LINK, _VERSION = "x-object-sysmeta-symlink-", "x-object-sysmeta-versions-symlink"


class Sync(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, by the names that Swift has for them. `container_time`: seconds that one container has in a run."""

    interval: float = 300.0
    container_time: float = 60.0
    conn_timeout: float = 5.0
    sync_row_concurrency: int = 8
    allowed_sync_hosts: tuple[str, ...] = ()
    allow_full_urls: bool = True
    realms: Mapping[str, Realm] = {}

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Sync:
        """ValueError for what cannot be."""
        hosts = options.get("allowed_sync_hosts", ())
        names = hosts.split(",") if isinstance(hosts, str) else hosts
        numbers = {
            name: float(options[name]) for name in ("interval", "container_time", "conn_timeout") if name in options
        }
        if any(each <= 0 for each in numbers.values()):
            raise ValueError("times are more than no seconds")
        return cls(
            **numbers,
            sync_row_concurrency=max(1, int(options.get("sync_row_concurrency") or 8)),
            allowed_sync_hosts=tuple(each.strip() for each in names if each.strip()),
            allow_full_urls=bool(options.get("allow_full_urls", True)),
            realms=sync_realms.realms(options.get("realms", {})),
        )

    def target(self, said: str) -> Target | None:
        """As `sync_realms.target`."""
        return sync_realms.target(said, self.allowed_sync_hosts, self.realms)


def wanted(info: Info) -> bool:
    """Whether it is a container that is sent somewhere, or a shard, whose root may be."""
    if not info.key.container:
        return False
    return is_shard(info.key) or bool(_value(info, TO) and _value(info, KEY))


def job(upkeep: Upkeep, places: Places, engine: Engine, settings: Sync) -> Job:
    """What is to be done again and again."""
    upkeep.watch.want(WATCHED, wanted)
    return Job("container sync", settings.interval, Syncer(places, upkeep.watch, engine, settings).run)


class Syncer:
    """For the containers of this process's devices; objects are read from `engine`, as their users see them."""

    def __init__(self, places: Places, watch: Watch, engine: Engine, settings: Sync, web: Web | None = None) -> None:
        self._places, self._watch, self._engine, self._settings = places, watch, engine, settings
        self._web = web or Web(connect=settings.conn_timeout)

    async def run(self) -> int:
        """How many objects were sent, or deleted elsewhere."""
        done = 0
        for node in self._places.local():
            try:
                for key in await self._watch.keys(self._places.timed(node).indexes, WATCHED):
                    done += await self._one(node, key)
            except TROUBLE:
                continue
        return done

    async def _one(self, node: Node, key: Key) -> int:
        try:
            return await self._container(node, key)
        except TROUBLE:
            raise
        except CumuletError as error:
            DEEDS.add(1, "failure")
            LOG.warning("container sync: %s: %s", _path(key), error.message)
        except Exception:
            DEEDS.add(1, "failure")
            LOG.exception("container sync: %s", _path(key))
        return 0

    async def _container(self, node: Node, key: Key) -> int:
        device = self._places.timed(node).indexes
        at, info = rank(self._places, key, node), await device.info(key)
        if at is None or info is None or not info.exists or not wanted(info):
            return 0
        root = root_of(info)
        home = await self._engine.info(root) if root is not None else info
        if home is None or not home.exists or not (_value(home, TO) and _value(home, KEY)):
            return 0
        if _value(home, VERSIONS):
            LOG.warning("container sync: %s has versions and is not sent", _path(home.key))
            return 0
        try:
            target = self._settings.target(_value(home, TO))
        except Invalid as error:
            DEEDS.add(1, "failure")
            LOG.info("container sync: %s: %s", _path(home.key), error.message)
            return 0
        if target is None:
            return 0
        return await _Run(self, device, key, home, target, at).run()

    @property
    def settings(self) -> Sync:
        return self._settings

    def turn(self, name: Name) -> int:
        """A number that every replica has for the object, by which they share their work."""
        return int(self._places.object(name)[0].hash[:8], 16)

    async def send(self, info: Info, row: ObjectRow, target: Target) -> bool:
        """Whether what `row` tells is known there. NoAnswer where nobody is there to know it."""
        name = Name(info.key.account, info.key.container, row.name, row.policy)
        if row.policy != info.policy:
            return True  # it is told again when the reconciler has moved it
        try:
            return await _Row(self._web, self._engine, name, row, target, _value(info, KEY)).send()
        except NoAnswer:
            raise
        except (CumuletError, TimeoutError, ValueError) as error:
            LOG.warning("container sync: %s => %s, object %s: %s", _path(info.key), target.url, quote(row.name), error)
            return False


class _Run:
    """The rows of one index, as one of its replicas has them: of the container `info`, or of a shard of that."""

    def __init__(
        self, syncer: Syncer, device: IndexDevice, key: Key, info: Info, target: Target, at: tuple[int, int]
    ) -> None:
        self._syncer, self._device, self._key = syncer, device, key
        self._info, self._target, self._at = info, target, at
        # Another target is begun with anew.
        name = hashlib.sha256(_value(info, TO).encode()).hexdigest()[:32]
        self._first, self._second = Peer(f"sync-first-{name}", False), Peer(f"sync-second-{name}", False)
        self._done = 0
        self._end = asyncio.get_running_loop().time() + syncer.settings.container_time

    async def run(self) -> int:
        key = self._key
        points = await self._device.sync_points(key)
        for peer in points:
            if peer.identity.startswith("sync-") and peer not in (self._first, self._second):
                await self._device.set_sync_point(key, peer, -1)
        first, second = points.get(self._first, 0), points.get(self._second, 0)
        await self._again(second, first)
        await self._anew(first)
        return self._done

    async def _again(self, after: int, end: int) -> None:
        """What was shared out before, up to the first point."""
        kept = after
        while after < end and not self._over() and (page := await self._rows(after)):
            for number, row in page:
                if number > end or self._over():
                    end = after
                    break
                if await self._send(row) and kept == after:
                    kept = number
                after = number
            if kept:
                await self._device.set_sync_point(self._key, self._second, kept)

    async def _anew(self, after: int) -> None:
        """The share of this replica; what fails comes again behind the second point."""
        turn, count = self._at
        room = asyncio.Semaphore(self._syncer.settings.sync_row_concurrency)
        home = self._info.key

        async def send(row: ObjectRow) -> None:
            try:
                await self._send(row)
            finally:
                room.release()

        while not self._over() and (page := await self._rows(after)):
            async with asyncio.TaskGroup() as group:
                for number, row in page:
                    if self._over():
                        break
                    if self._syncer.turn(Name(*home, row.name, row.policy)) % count == turn:
                        await room.acquire()
                        group.create_task(send(row))
                    after = number
            await self._device.set_sync_point(self._key, self._first, after)

    async def _rows(self, after: int) -> list[tuple[int, ObjectRow]]:
        return await self._device.object_rows(self._key, after, PAGE)

    def _over(self) -> bool:
        """Whether the time of the container has passed in this run; what was begun is ended."""
        return asyncio.get_running_loop().time() >= self._end

    async def _send(self, row: ObjectRow) -> bool:
        well = False
        try:
            well = await self._syncer.send(self._info, row, self._target)
        except NoAnswer as error:
            self._end = 0.0  # nor for the next ones in this run
            name = quote(row.name)
            LOG.warning("container sync: %s => %s, %s: %s", _path(self._info.key), self._target.url, name, error)
        self._done += well
        if not well:
            DEEDS.add(1, "failure")
        return well


class _Row:
    def __init__(self, web: Web, engine: Engine, name: Name, row: ObjectRow, target: Target, user_key: str) -> None:
        self._web, self._engine, self._name, self._row = web, engine, name, row
        self._target, self._key = target, user_key

    async def send(self) -> bool:
        row = self._row
        if row.deleted:
            answer = await self._tried("DELETE")
            if answer.status in (404, 409) or answer.status < 300:
                DEEDS.add(1, "delete")
                return True
            return self._noted(answer)
        newest = max(row.stamp, row.type_stamp, row.meta_stamp)
        there = await self._ask("HEAD", {"x-timestamp": stamps.internal(newest)})
        if there.status < 300:
            if _stamp(there) >= stamps.parse(stamps.normal(newest)):
                return True
        elif there.status != 404 and (self._target.realm or there.status not in (401, 403)):
            return self._noted(there)
        return await self._put(newest)

    async def _put(self, newest: int) -> bool:
        answer = await self._tried("PUT", newest)
        if answer is _SKIPPED:
            return True
        if answer.status >= 300:
            return self._noted(answer)
        DEEDS.add(1, "put")
        return True

    async def _tried(self, method: str, newest: int = 0) -> WebAnswer:
        for left in reversed(range(TRIES)):
            try:
                answer = await (self._upload(newest) if method == "PUT" else self._delete())
                if answer.status < 500 or not left:
                    return answer
            except NoAnswer:
                if not left:
                    raise
            await asyncio.sleep(PAUSE * 2 ** (TRIES - 1 - left))
        raise AssertionError("it was tried")

    async def _delete(self) -> WebAnswer:
        return await self._ask("DELETE", {"x-timestamp": stamps.internal(self._row.stamp)})

    async def _upload(self, newest: int) -> WebAnswer:
        reading = await self._engine.read(self._name, newest=True)
        if reading is None:
            raise Invalid("it is not there (yet, or any more)")
        async with reading:
            version = reading.version
            if version.system.get(_VERSION) or version.is_expired(stamps.now()):
                return _SKIPPED
            if _newest(version) < newest:
                raise Invalid("what is there is older than its entry in the container")
            return await self._ask("PUT", _headers(version), reading)

    async def _ask(self, method: str, headers: dict[str, str], reading: Reading | None = None) -> WebAnswer:
        name = quote(self._name.object)
        signed = sync_realms.signed(self._target, method, name, headers["x-timestamp"], ids.new_hex(), self._key)
        url = f"{self._target.url}/{name}"
        if reading is None:
            return await self._web.ask(method, url, headers | signed)
        chunks = reading.chunks()
        try:
            return await self._web.ask(method, url, headers | signed, chunks, size=reading.version.size)
        finally:
            if (close := getattr(chunks, "aclose", None)) is not None:
                await close()

    def _noted(self, answer: WebAnswer) -> bool:
        words = {401: "Unauth", 404: "Not found"}.get(answer.status, f"answered {answer.status}")
        LOG.info(
            "container sync: %s %s => %s, object %s",
            words, _path(self._name.listing), self._target.url, quote(self._name.object),
        )  # fmt: skip
        return False


_SKIPPED = WebAnswer(0, {}, b"")


def _headers(version: Version) -> dict[str, str]:
    """What the other cluster takes for the same object; a link is one there, too."""
    found = {
        name: value
        for name, value in {**version.system, **version.metadata}.items()
        if not name.startswith(("x-object-sysmeta-", "x-object-transient-sysmeta-"))
    }
    for name, value in version.system.items():
        if name.startswith(_LINK):
            found[f"x-symlink-{name.removeprefix(_LINK)}"] = value
    if version.delete_at:
        found["x-delete-at"] = str(version.delete_at)
    return {
        **found,
        "content-type": version.content_type,
        "etag": version.etag,
        "x-timestamp": stamps.internal(_newest(version)),
    }


def _newest(version: Version) -> int:
    return max(version.stamp, version.meta_stamp, version.type_stamp)


def _stamp(answer: WebAnswer) -> int:
    try:
        return stamps.parse(answer.headers.get("x-timestamp", "0"))
    except ValueError:
        return 0


def _value(info: Info, header: str) -> str:
    return info.state.metadata.get(header, ("", 0))[0]


def _path(key: Key) -> str:
    return quote("/".join(key))
