# SPDX-License-Identifier: Apache-2.0
"""Requests to other servers, and what is no answer to them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from cumulet.services.object_store.drivers.web import NoAnswer, Web
from support.certificates import self_signed


@contextlib.asynccontextmanager
async def answering(serve, **more):
    """The address of a server of which each connection is served so."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, **more)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def saying(said):
    async def serve(reader, writer):
        await reader.read(100)
        writer.write(said)
        writer.close()

    return serve


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n" + bytes(1 << 12),
    ],
    ids=["nothing", "half", "no-http", "too-long"],
)
def test_what_is_no_answer(said):
    async def serve(reader, writer):
        await reader.read(100)
        writer.write(said)
        writer.close()

    async def ask():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(NoAnswer):
                await Web(most=1 << 10).ask("GET", f"http://127.0.0.1:{port}/", {})
        with pytest.raises(NoAnswer):
            await Web().ask("GET", f"http://127.0.0.1:{port}/", {})

    asyncio.run(ask())


@pytest.mark.parametrize("headers", [{"a": "b\r\nc: d"}, {"a\n": "b"}], ids=["value", "name"])
def test_a_header_that_would_be_two(headers):
    with pytest.raises(ValueError, match="cannot be sent"):
        asyncio.run(Web().ask("GET", "http://127.0.0.1:1/", headers))


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nX-One: 1\r\ncontent-length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nx-one: 1\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nx-one: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", b"ab"),
        (b"HTTP/1.0 200 OK\r\nx-one: 1\r\n\r\nab", b"ab"),
    ],
    ids=["length", "continue", "chunked", "to-the-end"],
)
def test_forms_of_answers(said, body):
    async def ask():
        async with answering(saying(said)) as at:
            answer = await Web().ask("GET", f"http://{at}/a?b=c", {})
            assert (answer.status, answer.headers["x-one"], answer.body) == (200, "1", body)

    asyncio.run(ask())


def test_a_server_that_has_heard_enough_is_not_sent_the_rest():
    sent = 0

    async def serve(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async def pieces():
        nonlocal sent
        while sent < 1 << 30:
            yield bytes(1 << 14)
            sent += 1 << 14
            await asyncio.sleep(0)

    async def ask():
        async with answering(serve) as at:
            answer = await Web().ask("PUT", f"http://{at}/", {}, pieces(), size=1 << 30)
            assert (answer.status, sent < 1 << 28) == (401, True)

    asyncio.run(ask())


def test_whom_it_trusts(tmp_path):
    key, certificate = self_signed(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")]), "127.0.0.1")
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "certificate").write_bytes(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")

    async def ask():
        async with answering(saying(b"HTTP/1.1 204 No Content\r\n\r\n"), ssl=context) as at:
            trusting = Web(authorities=str(tmp_path / "certificate"))
            assert (await trusting.ask("GET", f"https://{at}/", {})).status == 204
            with pytest.raises(NoAnswer):
                await Web().ask("GET", f"https://{at}/", {})

    asyncio.run(ask())


def test_who_says_nothing_is_not_waited_for():
    async def serve(reader, writer):
        await asyncio.Event().wait()

    async def ask():
        async with answering(serve) as at:
            with pytest.raises(NoAnswer, match="too long"):
                await Web(patience=0.1).ask("GET", f"http://{at}/", {})

    asyncio.run(ask())
