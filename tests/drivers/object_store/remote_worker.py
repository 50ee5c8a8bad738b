# SPDX-License-Identifier: Apache-2.0
"""A process that serves the device in a folder.

python remote_worker.py ROOT NAME SOCKET
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from cumulet.services.object_store.drivers.nodes import Node
from cumulet.services.object_store.drivers.remote.server import DeviceServer
from cumulet.services.object_store.engine.assembly import opened

WHERE = ("127.0.0.1", 6200, "d0")


async def main(root, name, path):
    async with opened(Path(root), name) as node:
        server = DeviceServer({WHERE: Node(objects=node.objects, indexes=node.indexes)})
        await server.listen_here(Path(path))
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the test has ended
        await server.close()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
