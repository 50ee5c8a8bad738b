# SPDX-License-Identifier: Apache-2.0
"""`/v2/images/{id}/file` and `/stage`: bytes, streamed in and out in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Protocol

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import ranges, targets
from cumulet.services.image.api.dialect import UNSUPPORTED_MEDIA
from cumulet.services.image.logic import access, cache, data, locations, quotas, staging, stores
from cumulet.services.image.logic.data import PIECE
from cumulet.services.image.logic.locations import Reader
from cumulet.services.image.types import WITH_DATA, Image, ImageStatus

BINARY = "application/octet-stream"
STORE_HEADER = "x-image-meta-store"


class Receiving(Protocol):
    """Data on their way in: pieces in order, then their end, or the news that no more will come."""

    def write(self, data: bytes) -> None: ...

    def finish(self, declared_size: int | None = None) -> None: ...

    def cancel(self) -> None: ...


Begin = Callable[[Cloud, str, str], Receiving]
# How many bytes may come of those that are declared; None: any number.
Admit = Callable[[Cloud, Context, int], int | None]


async def upload(request: Request) -> Reply:
    store = stores.chosen(request.cloud, request.headers.get(STORE_HEADER))
    return await _receive(request, partial(data.begin, store=store, ctx=request.ctx), quotas.enforce_upload)


async def stage(request: Request) -> Reply:
    return await _receive(request, staging.begin, quotas.enforce_stage)


async def download(request: Request) -> Reply:
    image, reader = await asyncio.to_thread(_readable, request)
    if reader is None:
        return Reply(204)
    wanted = ranges.parse(request.headers, reader.size)
    start, end = wanted or (0, reader.size)
    headers = {"Content-Type": BINARY, "Content-Length": str(end - start)}
    if image.checksum:
        headers["Content-MD5"] = image.checksum
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{reader.size}"
    return Reply(206 if wanted is not None else 200, None, headers, chunks=_send(reader, start, end))


async def _receive(request: Request, begin: Begin, admit: Admit) -> Reply:
    _check_media_type(request)
    size = _declared_size(request)
    room = None
    if quotas.are_set(request.cloud):
        length = request.headers.get("content-length", "0")
        room = await asyncio.to_thread(admit, request.cloud, request.ctx, int(length) if length.isdigit() else 0)
    receiving = await asyncio.to_thread(begin, request.cloud, request.params["image_id"], request.request_id)
    working: asyncio.Future[None] | None = None
    received = 0
    try:
        async for piece in _pieces(request):
            received += len(piece)
            data.check_size(received, size, whole=False)
            quotas.check_room(room, received)
            if working is not None:
                await asyncio.shield(working)
            # The next piece is gathered from the line while this one goes to the disk.
            working = _begin(receiving.write, piece)
        if working is not None:
            await asyncio.shield(working)
        working = _begin(receiving.finish, size)
        await asyncio.shield(working)
    except BaseException:
        # The caller may be gone, and this task with it: what was begun is taken back all the same.
        await asyncio.shield(_take_back(receiving, working))
        raise
    return Reply(204)


def _begin(work: Callable[..., None], *words: object) -> asyncio.Future[None]:
    return asyncio.ensure_future(asyncio.to_thread(work, *words))


async def _take_back(receiving: Receiving, working: asyncio.Future[None] | None) -> None:
    if working is not None:
        await asyncio.gather(working, return_exceptions=True)  # else it would go on beside us
    await asyncio.to_thread(receiving.cancel)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces of at least PIECE bytes, but for the last: fewer and larger trips to a thread."""
    assert request.chunks is not None
    gathered: list[bytes] = []
    size = 0
    async for chunk in request.chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)


async def _send(reader: Reader, start: int, end: int) -> AsyncIterator[bytes]:
    """Pieces of the data; the next one is read while the last one is on its way."""

    def read(offset: int) -> asyncio.Future[bytes]:
        return asyncio.ensure_future(asyncio.to_thread(reader.read, offset, min(reader.piece, end - offset)))

    reading = read(start) if start < end else None
    while reading is not None:
        piece = await reading
        start += len(piece)
        reading = read(start) if piece and start < end else None
        if piece:
            yield piece


def _readable(request: Request) -> tuple[Image, Reader | None]:
    """The image, and its data where it has some: what is not there must be told before the first byte."""
    image = access.get(request.cloud.db, request.ctx, request.params["image_id"])
    if image.status == ImageStatus.DEACTIVATED and not request.ctx.is_admin:
        raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
    if image.status not in WITH_DATA or (image.size == 0 and not locations.of_image(request.cloud.db, image)):
        return image, None
    reader = locations.open_image(request.cloud, image)
    cache.used(request.cloud, image, reader)
    return image, reader


def _check_media_type(request: Request) -> None:
    said = request.headers.get("content-type")
    if said is None or said.partition(";")[0].strip().lower() != BINARY:
        kind = None if said is None else said.partition(";")[0].strip()
        raise Invalid(f"Invalid content type {kind}", code=UNSUPPORTED_MEDIA)


def _declared_size(request: Request) -> int | None:
    said = request.headers.get("x-openstack-image-size")
    if said is None:
        return None
    if not said.strip().isascii() or not said.strip().isdigit():
        raise Invalid("Invalid or missing image size in request headers.")
    return int(said)


ROUTES = (
    Route("PUT", "/images/{image_id}/file", upload, "upload_image", target=targets.image, stream=True),
    Route("GET", "/images/{image_id}/file", download, "download_image", target=targets.image, stream=True),
    Route("PUT", "/images/{image_id}/stage", stage, "modify_image", target=targets.image, stream=True),
)
