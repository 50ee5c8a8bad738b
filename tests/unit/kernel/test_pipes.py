# SPDX-License-Identifier: Apache-2.0
"""Bytes between a process of the control plane and a host: passed both ways, refused in words, ended with the door."""

from __future__ import annotations

import asyncio
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.link.pipes import PipeDoor, Stream, Way, dial
from cumulet.kernel.loop import Loop

LOAD = bytes(range(256)) * 4096  # 1 MiB


class House:
    """A door behind which everything is said back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop = Loop()
        self.wanted: list[dict[str, Any]] = []
        self._pool = ThreadPoolExecutor(2)
        self.door = PipeDoor(self.loop, self._pool, self._open)
        self.door.listen_here(path)

    def dial(self, **wanted: Any) -> Stream:
        return self.loop.wait(dial(wanted, Way(self.path, "", 0, "", None)), 60)

    def close(self) -> None:
        self.door.close()
        self._pool.shutdown(wait=False)
        self.loop.close()

    def _open(self, wanted: dict[str, Any]) -> socket.socket:
        if wanted["thing"] != "echo":
            raise Conflict("there is no such thing")
        self.wanted.append(wanted)
        ours, theirs = socket.socketpair()
        threading.Thread(target=_echo, args=(ours,), daemon=True).start()
        return theirs


def _echo(stream: socket.socket) -> None:
    with stream:
        while data := stream.recv(65536):
            stream.sendall(data)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "door")
    yield made
    made.close()


def test_bytes_go_both_ways(house: House) -> None:
    reader, writer = house.dial(thing="echo", more=1)

    async def talk() -> bytes:
        writer.write(LOAD)
        said = await reader.readexactly(len(LOAD))
        writer.close()
        return said

    assert house.loop.wait(talk(), 60) == LOAD
    assert house.wanted[0]["more"] == 1


def test_a_refusal_says_why(house: House) -> None:
    with pytest.raises(NotReady, match="no such thing"):
        house.dial(thing="picture")


def test_the_door_is_its_owner_s(house: House) -> None:
    assert stat.S_IMODE(house.path.stat().st_mode) == 0o600


def test_streams_end_with_their_door(house: House) -> None:
    reader, writer = house.dial(thing="echo")
    house.door.close()

    async def rest() -> bytes:
        try:
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    assert house.loop.wait(rest(), 60) == b""


def test_nobody_at_home(tmp_path: Path) -> None:
    loop = Loop()
    for path in (tmp_path / "nothing", None):
        with pytest.raises(NotReady):
            loop.wait(dial({}, Way(path, "", 0, "", None)), 60)
    loop.close()


def test_one_who_says_nothing_in_order(house: House) -> None:
    async def babble() -> bytes:
        reader, writer = await asyncio.open_unix_connection(house.path)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        said = await reader.read()
        writer.close()
        return said

    assert b"echo" not in house.loop.wait(babble(), 60)
