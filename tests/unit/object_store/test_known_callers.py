# SPDX-License-Identifier: Apache-2.0
"""What the object store remembers of tokens and keys: asked once, never longer than it holds, nothing made up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from cumulet.kernel.errors import NotReady
from cumulet.services.identity.contract import ACCESS_KEY, EPOCH, TOKEN, Allowed, Holder, KeyHolder, Told
from cumulet.services.object_store.logic import known
from cumulet.services.object_store.logic.known import KnownCallers

EVE = Holder(user_id="u", user_name="eve", user_domain_id="default", project_id="p", roles=("member",), ends=100.0)


class Line:
    """Identity, in so many words."""

    def __init__(self) -> None:
        self.epoch, self.asked, self.told = 1, 0, 0
        self.tokens: dict[tuple[str, str], Holder] = {("good", ""): EVE}
        self.keys = {"access": KeyHolder(holder=EVE, secret="s3cret")}
        self.away = False
        self.gate: asyncio.Event | None = None

    async def call(self, verb: str, body: dict[str, Any], *, timeout: float = 10.0) -> Any:
        if self.away:
            raise NotReady("there is no link")
        if verb == EPOCH:
            self.told += 1
            return {} if self.told == 1 else {"epoch": self.epoch}  # first in words that nobody understands
        self.asked += 1
        told = Told(epoch=self.epoch)
        if verb == TOKEN:
            told = Told(epoch=self.epoch, holder=self.tokens.get((body["token"], body["service_token"])))
        elif verb == ACCESS_KEY:
            told = Told(epoch=self.epoch, key=self.keys.get(body["access"]))
        if self.gate is not None:
            await self.gate.wait()
        return msgspec.to_builtins(told)


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.line = Line()
        self.known = KnownCallers(self.line, lambda: self.now)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


def test_a_token_is_asked_about_once_until_it_ends() -> None:
    async def story() -> None:
        world = World()
        for _ in range(3):
            caller = await world.known.caller("good")
            assert caller is not None
            assert (caller.user_id, caller.project_id, caller.roles) == ("u", "p", frozenset(("member",)))
        assert world.line.asked == 1
        world.now = 100.0
        assert await world.known.caller("good") is None  # what identity still says of it has ended
        assert world.line.asked == 2

    run(story())


def test_many_at_once_ask_once() -> None:
    async def story() -> None:
        world = World()
        world.line.gate = asyncio.Event()
        waiting = [asyncio.ensure_future(world.known.caller("good")) for _ in range(50)]
        while not world.line.asked:
            await asyncio.sleep(0)
        waiting[0].cancel()  # whoever asked first may go away
        await asyncio.sleep(0)
        world.line.gate.set()
        found = await asyncio.gather(*waiting[1:])
        assert all(found)
        assert world.line.asked == 1

    run(story())


def test_a_change_is_heard_of_and_everything_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        monkeypatch.setattr(known, "PERIOD", 0.001)
        world = World()
        await world.known.caller("good")
        world.known.start()
        world.line.epoch, world.line.tokens = 2, {}
        async with asyncio.timeout(10):
            while await world.known.caller("good") is not None:
                await asyncio.sleep(0.001)
        await world.known.stop()

    run(story())


def test_an_answer_from_before_a_change_is_not_for_those_who_come_after() -> None:
    async def story() -> None:
        world = World()
        await world.known.keyed("access")
        world.line.gate = gate = asyncio.Event()
        early = asyncio.ensure_future(world.known.caller("good"))
        while world.line.asked < 2:
            await asyncio.sleep(0)
        world.line.gate, world.line.epoch, world.line.tokens = None, 2, {}
        assert await world.known.keyed("other") is None  # tells of the change
        assert await world.known.caller("good") is None
        gate.set()
        assert await early is not None
        assert await world.known.caller("good") is None

    run(story())


def test_while_nobody_answers_what_is_known_goes_on() -> None:
    async def story() -> None:
        world = World()
        await world.known.caller("good")
        await world.known.keyed("access")
        world.line.away = True
        assert await world.known.caller("good") is not None
        assert await world.known.keyed("access") is not None
        with pytest.raises(NotReady):
            await world.known.caller("other")
        with pytest.raises(NotReady):
            await world.known.caller("good", "service")
        world.now = 100.0
        with pytest.raises(NotReady):
            await world.known.caller("good")

    run(story())


def test_what_is_good_for_nothing_is_asked_about_seldom_and_displaces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        monkeypatch.setattr(known, "MOST_UNKNOWN", 4)
        monkeypatch.setattr(known, "MOST", 4)
        world = World()
        await world.known.caller("good")
        for _ in range(2):
            assert await world.known.caller("bad") is None
        assert world.line.asked == 2
        for number in range(20):
            await world.known.caller(f"bad-{number}")
        asked = world.line.asked
        assert await world.known.caller("good") is not None
        assert world.line.asked == asked
        world.now = known.UNKNOWN
        world.line.tokens["bad-19", ""] = EVE
        assert await world.known.caller("bad-19") is not None

    run(story())


def test_keys_have_secrets_that_nothing_shows() -> None:
    async def story() -> None:
        world = World()
        keyed = await world.known.keyed("access")
        assert keyed is not None
        assert keyed.secret == "s3cret"
        assert "s3cret" not in repr(keyed) + repr(world.line.keys)
        assert await world.known.keyed("none") is None

    run(story())


def test_a_restored_database_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        monkeypatch.setattr(known, "PERIOD", 0.001)
        world = World()
        world.line.epoch = 50
        await world.known.caller("good")
        world.line.epoch, world.line.tokens = 3, {}
        world.known.start()
        async with asyncio.timeout(10):
            while await world.known.caller("good") is not None:
                await asyncio.sleep(0.001)
        await world.known.stop()

    run(story())


def test_requests_that_a_token_is_limited_to() -> None:
    async def story() -> None:
        world = World()
        allowed = (Allowed("object-store", "GET", "/v1/AUTH_p/**"), Allowed("compute", "PUT", "/v1/AUTH_p/**"))
        world.line.tokens["good", ""] = msgspec.structs.replace(EVE, allowed=allowed)
        caller = await world.known.caller("good")
        assert caller is not None
        assert caller.may_ask("GET", "/v1/AUTH_p/c/o")
        assert not caller.may_ask("GET", "/v1/AUTH_q/c/o")
        assert not caller.may_ask("PUT", "/v1/AUTH_p/c/o")

    run(story())
