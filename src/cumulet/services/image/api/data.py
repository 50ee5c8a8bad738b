# SPDX-License-Identifier: Apache-2.0
"""`/v2/images/{id}/file` and `/stage`: bytes, streamed in and out in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Protocol

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import ranges, targets
from cumulet.services.image.api.dialect import UNSUPPORTED_MEDIA
from cumulet.services.image.logic import access, data, locations, staging, stores
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


async def upload(request: Request) -> Reply:
    store = stores.chosen(request.cloud, request.headers.get(STORE_HEADER))
    return await _receive(request, partial(data.begin, store=store))


async def stage(request: Request) -> Reply:
    return await _receive(request, staging.begin)


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


async def _receive(request: Request, begin: Begin) -> Reply:
    _check_media_type(request)
    size = _declared_size(request)
    receiving = await asyncio.to_thread(begin, request.cloud, request.params["image_id"], request.request_id)
    try:
        async for piece in _pieces(request):
            await asyncio.to_thread(receiving.write, piece)
        await asyncio.to_thread(receiving.finish, size)
    except BaseException:
        # The caller may be gone, and this task with it: what was begun is taken back all the same.
        await asyncio.shield(asyncio.to_thread(receiving.cancel))
        raise
    return Reply(204)


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
    while start < end:
        piece = await asyncio.to_thread(reader.read, start, min(reader.piece, end - start))
        if not piece:
            return
        yield piece
        start += len(piece)


def _readable(request: Request) -> tuple[Image, Reader | None]:
    """The image, and its data where it has some: what is not there must be told before the first byte."""
    image = access.get(request.cloud.db, request.ctx, request.params["image_id"])
    if image.status == ImageStatus.DEACTIVATED and not request.ctx.is_admin:
        raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
    return image, locations.open_image(request.cloud, image) if image.status in WITH_DATA else None


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
