# SPDX-License-Identifier: Apache-2.0
"""What is sent together: by a recording transport, and over a real connection."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvicorn

from cumulet.kernel.http.gathering import MOST, Gathering, GatheringProtocol


class Recording:
    """A transport that notes what is done to it."""

    def __init__(self):
        self.done = []

    def write(self, data):
        self.done.append(data)

    def close(self):
        self.done.append("closed")


async def _in_one_turn(*pieces, close=False):
    transport = Recording()
    gathering = Gathering(transport, asyncio.get_running_loop())
    for piece in pieces:
        gathering.write(piece)
    if close:
        gathering.close()
    at_once = list(transport.done)
    await asyncio.sleep(0)
    return at_once, transport.done


LONG = bytes(MOST + 1)


@pytest.mark.parametrize(
    ("pieces", "at_once", "in_the_end"),
    [
        ((b"head", b"body"), [], [b"headbody"]),
        ((b"head", LONG), [b"head", LONG], [b"head", LONG]),
        ((b"head", LONG, b"tail"), [b"head", LONG], [b"head", LONG, b"tail"]),
        ((b"a" * MOST, b"b", b"c"), [b"a" * MOST, b"b"], [b"a" * MOST, b"b", b"c"]),
    ],
)
def test_pieces_of_one_turn(pieces, at_once, in_the_end):
    assert asyncio.run(_in_one_turn(*pieces)) == (at_once, in_the_end)


def test_what_is_held_leaves_before_the_connection_closes():
    _, done = asyncio.run(_in_one_turn(b"head", b"body", close=True))
    assert done == [b"headbody", "closed"]


async def _app(scope, receive, send):
    long = scope["path"] == "/long"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(100 if long else 1):
        await send({"type": "http.response.body", "body": b"x" * 4096, "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


async def _ask(*paths):
    """The bodies that a server on a real connection answers with, one request after the other."""
    config = uvicorn.Config(_app, http=GatheringProtocol, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        bodies = []
        for path in paths:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
            bodies.append(body)
        writer.close()
        server.should_exit = True
        await serving
    return bodies


def test_answers_over_one_connection_arrive_whole_and_in_order():
    assert asyncio.run(_ask("/short", "/long", "/short")) == [
        b"x" * 4096 + b"end", b"x" * 409600 + b"end", b"x" * 4096 + b"end",
    ]  # fmt: skip
