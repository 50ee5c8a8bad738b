# SPDX-License-Identifier: Apache-2.0
"""Clients of a world: they do what comes to mind, and write down what they were told."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
from random import Random

from cumulet.kernel.errors import Conflict, NotFound
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.indexes import Key, Listing
from cumulet.services.object_store.types.objects import Kind, Update, Verdict
from histories.judge import ABSENT, DONE, MAYBE, NO_WORD, NONE, Op, Seen
from histories.worlds import Host, World

ACCOUNT, CONTAINER = Key("a"), Key("a", "c")
NAMES = ["o0", "o1", "o2", "o3"]
BOXES = ["b0", "b1", "b2"]
WORD = "x-object-meta-w"
BOX_WORD = "x-container-meta-w"
PATIENCE = 180.0  # seconds: devices are given ten for each word, and a minute for the last
SIZES = [10, 10, 3000, 60_000]
VERBS = ["put"] * 6 + ["get"] * 6 + ["delete"] * 3 + ["post"] * 3 + ["list"] * 3
VERBS += ["make", "make", "drop", "describe", "look", "look", "containers"]
LOOKS = dict.fromkeys(("put", "post", "delete"), ("get", "get", "list"))
LOOKS |= dict.fromkeys(("make", "drop", "describe"), ("look", "look", "containers"))


class Clients:
    """`history` is what they were told; `failed` errors that nobody promised."""

    def __init__(self, world: World, luck: Random) -> None:
        self.world, self.luck = world, luck
        self.history: list[Op] = []
        self.failed: list[str] = []
        self._numbers = itertools.count(1)
        self._words: dict[int, str] = {}
        self._asked: dict[Host, dict[asyncio.Task, None]] = {}

    async def begin(self) -> None:
        host = self.world.hosts[0]
        with host.time():
            await host.cluster.put(ACCOUNT, stamps.now())
            await host.cluster.put(CONTAINER, stamps.now())

    async def some(self, who: str, count: int, pause: float) -> None:
        """What one client does, one thing after the other; it likes to look at what it has just written."""
        for _ in range(count):
            up = [host for host in self.world.hosts if host.up]
            if up:
                host = self.luck.choice(up)
                op = await self.one(who, host, self.luck.choice(VERBS), "", self.luck.random() < 0.5)
                if op.verb in LOOKS and host.up and self.luck.random() < 0.5:
                    await self.one(who, host, self.luck.choice(LOOKS[op.verb]), op.key, self.luck.random() < 0.2)
            await asyncio.sleep(self.luck.expovariate(1 / pause))

    async def one(self, who: str, host: Host, verb: str, key: str, newest: bool) -> Op:
        op = Op(f"{who}@{host.number}", verb, begun=asyncio.get_running_loop().time())
        if verb not in ("list", "containers"):
            op.key = key or self.luck.choice(BOXES if verb in ("make", "drop", "describe", "look") else NAMES)
        with host.time():
            task = asyncio.ensure_future(self._do(host, op, newest))
        asked = self._asked.setdefault(host, {})
        asked[task] = None
        try:
            _, late = await asyncio.wait([task], timeout=PATIENCE)
        finally:
            del asked[task]
        if late:
            self.failed.append(f"was not answered: {op}")
            task.cancel()
            await asyncio.wait([task])
        op.ended = asyncio.get_running_loop().time()
        op.strict = self.world.strict(verb, newest)
        if verb in ("put", "delete", "post", "make", "drop", "describe") or op.seen is not None:
            self.history.append(op)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed.append(f"{op}: {error!r}")
        return op

    def hang_up(self, host: Host) -> None:
        """Its process dies."""
        for task in self._asked.get(host, ()):
            task.cancel()

    async def _do(self, host: Host, op: Op, newest: bool) -> None:
        with contextlib.suppress(Unavailable):
            await getattr(self, f"_{op.verb}")(host.cluster, op, newest)

    def _stamp(self, op: Op) -> int:
        """Nobody else has it."""
        number = next(self._numbers)
        stamp = (stamps.now() >> 13 << 13) + number % 8000
        op.stamp = (stamp, stamp)
        return stamp

    async def _put(self, cluster, op, newest) -> None:
        stamp = self._stamp(op)
        body = hashlib.sha256(b"%d" % stamp).digest()
        body = (body * (self.luck.choice(SIZES) // 32 + 1))[: self.luck.choice(SIZES)]
        op.value, op.word = hashlib.md5(body).hexdigest(), f"w{stamp}"
        self._words[stamp] = op.word
        async with await cluster.write(Name("a", "c", op.key), self.luck.choice([len(body), None])) as writing:
            for at in range(0, len(body), 20_000):
                await writing.write(body[at : at + 20_000])
                await asyncio.sleep(self.luck.choice([0, 0, 0.01, 1.0]))
            version = objects.put(stamp, len(body), await writing.etag(), "text/plain", metadata={WORD: op.word})
            outcome = await writing.commit(version)
        op.fate = MAYBE if outcome.verdict is Verdict.NEWER else DONE

    async def _delete(self, cluster, op, newest) -> None:
        outcome = await cluster.remove(Name("a", "c", op.key), self._stamp(op))
        op.fate = MAYBE if outcome.verdict is Verdict.NEWER else DONE
        if outcome.verdict is Verdict.MISSING:
            self._note_absent(op)

    async def _post(self, cluster, op, newest) -> None:
        stamp = self._stamp(op)
        op.word = f"w{stamp}"
        self._words[stamp] = op.word
        outcome = await cluster.post(Name("a", "c", op.key), Update(stamp=stamp, metadata={WORD: op.word}))
        op.fate = {Verdict.NEWER: MAYBE, Verdict.MISSING: NONE}.get(outcome.verdict, DONE)
        if outcome.verdict is Verdict.MISSING:
            self._note_absent(op)

    def _note_absent(self, op: Op) -> None:
        """Who is told that there is no object to delete or describe has been told that there is none."""
        now = asyncio.get_running_loop().time()
        strict = self.world.strict("get", True)
        self.history.append(Op(op.who, "get", op.key, begun=op.begun, ended=now, seen=ABSENT, strict=strict))

    async def _get(self, cluster, op, newest) -> None:
        name = Name("a", "c", op.key)
        if self.luck.random() < 0.3:
            version = await cluster.head(name, newest=newest)
            there = version is not None and version.kind is Kind.DATA
            op.seen = Seen(version.etag, version.metadata[WORD]) if there else ABSENT
            return
        reading = await cluster.read(name, newest=newest)
        if reading is None:
            op.seen = ABSENT
            return
        async with reading:
            body = b"".join([piece async for piece in reading.chunks()])
            op.seen = Seen(hashlib.md5(body).hexdigest(), reading.version.metadata[WORD])

    async def _list(self, cluster, op, newest) -> None:
        _, rows = await cluster.list_objects(CONTAINER, Listing(), newest=newest)
        op.seen = [(name, Seen(etag, self._words.get(stamp, str(stamp)))) for name, stamp, _, _, etag in rows]

    async def _make(self, cluster, op, newest) -> None:
        try:
            await cluster.put(Key("a", op.key), self._stamp(op))
        except Conflict:
            return  # deleted later than now, by a clock that is ahead
        op.fate = DONE

    async def _drop(self, cluster, op, newest) -> None:
        try:
            await cluster.delete(Key("a", op.key), self._stamp(op))
        except NotFound:
            return  # a replica may have had it all the same
        except Conflict:
            op.fate = MAYBE
            return
        op.fate = DONE

    async def _describe(self, cluster, op, newest) -> None:
        stamp = self._stamp(op)
        op.word = f"w{stamp}"
        try:
            await cluster.set_metadata(Key("a", op.key), stamp, {BOX_WORD: op.word})
        except NotFound:
            return
        op.fate = DONE

    async def _look(self, cluster, op, newest) -> None:
        info = await cluster.info(Key("a", op.key), newest=newest)
        there = info is not None and info.exists
        op.seen = Seen("there", info.state.metadata.get(BOX_WORD, (NO_WORD, 0))[0] or NO_WORD) if there else ABSENT

    async def _containers(self, cluster, op, newest) -> None:
        _, rows = await cluster.list_containers(ACCOUNT, Listing(), newest=newest)
        op.seen = [(name, Seen("there")) for name, *_ in rows if name in BOXES]
