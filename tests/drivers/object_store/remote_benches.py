# SPDX-License-Identifier: Apache-2.0
"""Devices of another process to be tested: served and asked on one event loop, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

from cumulet.kernel.link import certificates
from cumulet.kernel.link.authority import Authority
from cumulet.kernel.link.names import BADGE_NAME
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.nodes import Node
from cumulet.services.object_store.drivers.remote.connection import Beyond, Connection, Here
from cumulet.services.object_store.drivers.remote.devices import node
from cumulet.services.object_store.drivers.remote.server import DeviceServer
from drivers.object_store import device_benches
from drivers.object_store.device_benches import LocalBench
from support.waiting import PATIENCE

WHERE = ("127.0.0.1", 6200, "d0")


async def come(ask, seconds=PATIENCE):
    """As `until`, on a loop that goes on meanwhile."""
    async with asyncio.timeout(seconds):
        while not (answer := ask()):
            await asyncio.sleep(0.005)
        return answer


class Cloud:
    """An authority, and what hosts show each other that have its badges."""

    def __init__(self):
        self.authority = Authority(SimpleNamespace(get_or_make=lambda secret, make: make()))

    def badge(self, name):
        key = certificates.new_key()
        return self.authority.certificate, self.authority.sign_badge(name, certificates.request(key, name), 3600), key

    def client(self, name="host-2"):
        return certificates.client_context(*self.badge(name))

    def server(self, name="host-1"):
        return certificates.server_context(*self.badge(name))


class Served:
    """`nodes` behind a server, and a connection to it; to be closed, or used as a context."""

    clouds = None

    def __init__(self, nodes=None, verbs=None, *, tls=False, silence=15.0):
        self.nodes = {} if nodes is None else nodes
        self.verbs = verbs
        self.tls = tls
        self.silence = silence

    async def __aenter__(self):
        self._open = contextlib.AsyncExitStack()
        self.server = DeviceServer(self.nodes, self.verbs, silence=self.silence)
        self._open.push_async_callback(self.server.close)
        if self.tls:
            Served.clouds = Served.clouds or Cloud()
            port = await self.server.listen_beyond("127.0.0.1", 0, self.clouds.server())
            way = Beyond("127.0.0.1", port, self.clouds.client, server_name=BADGE_NAME, admits=lambda holder: True)
        else:
            folder = tempfile.mkdtemp(prefix="remote-")
            self._open.callback(shutil.rmtree, folder)
            self.path = Path(folder) / "s"
            await self.server.listen_here(self.path)
            way = Here(self.path)
        self.connection = Connection(way, silence=self.silence, rest=0.1)
        self._open.push_async_callback(self.connection.stop)
        self.connection.start()
        assert await self.connection.linked(10), self.connection.trouble
        return self

    async def __aexit__(self, *ended):
        await self._open.aclose()

    def node(self, where=WHERE):
        return node(self.connection, where)

    async def close(self):
        await self.__aexit__()


class RemoteBench(LocalBench):
    """A folder behind a socket."""

    tls = False

    def __init__(self, tmp_path):
        super().__init__(tmp_path)
        self.served = None
        self.numbers = itertools.count()

    async def open(self, **settings):
        return await self._behind(await super().open(**settings))

    async def another(self):
        return await self._behind(await super().another())

    async def _behind(self, device):
        if self.served is None:
            self.served = await Served(tls=self.tls).__aenter__()
        where = ("127.0.0.1", 6200, f"d{next(self.numbers)}")
        self.served.nodes[where] = Node(objects=device, indexes=FakeIndex())
        return self.served.node(where).objects

    async def close(self):
        if self.served is not None:
            await self.served.close()
        await super().close()


class TlsBench(RemoteBench):
    tls = True


BENCHES = {**device_benches.BENCHES, "remote": RemoteBench, "remote-tls": TlsBench}
