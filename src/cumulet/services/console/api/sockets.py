# SPDX-License-Identifier: Apache-2.0
"""`/vnc`, `/spice` and `/serial`: a websocket for a token, and through it the bytes of a console."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from cumulet.kernel.http.websockets import Websocket, WebsocketRoute
from cumulet.kernel.link import greeting, pipes
from cumulet.services.compute.contract import ConsolesContract, ConsoleWay
from cumulet.services.console.logic import origins, streams

LOG = logging.getLogger(__name__)

CHUNK = 64 * 1024
PROTOCOL = "binary"  # what noVNC, spice-html5 and websockify call plain bytes


async def serve(display: str, websocket: Websocket) -> None:
    """Let in who has a token for such a console, and pass bytes until either side leaves."""
    settings = websocket.cloud.settings
    origins.check(websocket.headers, settings.data_url, settings.compute.console_allowed_origins)
    way, door = await websocket.run(_admit, websocket, display)
    reader, writer = await streams.dial(way, door)
    try:
        await websocket.accept(PROTOCOL if PROTOCOL in websocket.protocols else None)
        await pipes.until_either_ends(_upwards(websocket, writer), _downwards(websocket, reader))
    finally:
        greeting.cut(writer)
        LOG.info("the %s console of server %s is closed", way.display, way.server_id)


def _admit(websocket: Websocket, display: str) -> tuple[ConsoleWay, pipes.Way]:
    consoles = websocket.cloud.contracts.use(ConsolesContract)
    way = consoles.admit(websocket.query.get("token", ""), display)
    return way, streams.prepare(websocket.cloud, way)


async def _upwards(websocket: Websocket, writer: asyncio.StreamWriter) -> None:
    while (data := await websocket.receive()) is not None:
        writer.write(data)
        await writer.drain()


async def _downwards(websocket: Websocket, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(CHUNK):
        await websocket.send(data)


ROUTES = tuple(WebsocketRoute(f"/{display}", partial(serve, display)) for display in ("vnc", "spice", "serial"))
