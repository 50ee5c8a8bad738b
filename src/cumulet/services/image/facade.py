# SPDX-License-Identifier: Apache-2.0
"""The image contract, implemented on the verbs that serve the API as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.image.contract import ImageContract, ImageInfo, ImageQuery, NewImage, OlderImages
from cumulet.services.image.logic import access, copies, data, images, locations, older, quotas
from cumulet.services.image.logic.images import Wish
from cumulet.services.image.store import images as rows
from cumulet.services.image.types import Record


def offers(cloud: Cloud) -> dict[type, Callable[[], Any]]:
    return {ImageContract: lambda: Images(cloud), OlderImages: lambda: Older(cloud)}


class Images:
    """`contract.ImageContract`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def get(self, source: Source, ctx: Context, image_id: str) -> ImageInfo:
        return _info(access.record(source, access.get_allowed(self._cloud, source, ctx, image_id)))

    def find(self, source: Source, image_id: str) -> ImageInfo | None:
        found = rows.find(source, image_id)
        return None if found is None else _info(access.record(source, found))

    def check_create(self, ctx: Context, new: NewImage) -> None:
        images.check_create(self._cloud, ctx, ctx.project_id, new.visibility)

    def create(self, tx: Tx, ctx: Context, new: NewImage) -> str:
        wish = Wish(
            name=new.name,
            owner=ctx.project_id,
            visibility=new.visibility,
            disk_format=new.disk_format,
            container_format=new.container_format,
            min_disk=new.min_disk,
            min_ram=new.min_ram,
            protected=new.protected,
            properties=new.properties,
            tags=new.tags,
        )
        quotas.enforce_new(self._cloud, tx, ctx.project_id)
        return images.create(self._cloud, tx, wish, ctx.request_id).image.id

    def set_properties(self, tx: Tx, image_id: str, properties: Mapping[str, str | None]) -> None:
        if rows.find(tx, image_id) is not None:
            rows.set_properties(tx, image_id, properties)

    def read(self, image_id: str, offset: int, length: int) -> bytes:
        return locations.read(self._cloud, image_id, offset, length)

    def store_stream(self, image_id: str, chunks: Iterable[bytes]) -> None:
        receiving = data.begin(self._cloud, image_id)
        try:
            for chunk in chunks:
                receiving.write(chunk)
            receiving.finish()
        except BaseException:
            receiving.cancel()
            raise

    def activate_empty(self, tx: Tx, image_id: str) -> bool:
        return data.activate_empty(self._cloud, tx, image_id)

    def delete(self, tx: Tx, image_id: str) -> None:
        found = rows.find(tx, image_id)
        if found is not None:
            images.remove(self._cloud, tx, found)

    def prefetch(self, host: str, image_id: str) -> None:
        copies.prefetch(self._cloud, host, image_id)


class Older:
    """`contract.OlderImages`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def find_all(self, ctx: Context, wanted: ImageQuery) -> list[ImageInfo]:
        return [_info(record) for record in older.find_all(self._cloud, ctx, wanted)]

    def replace_properties(self, ctx: Context, image_id: str, properties: Mapping[str, str]) -> ImageInfo:
        return _info(older.replace_properties(self._cloud, ctx, image_id, properties))

    def delete(self, ctx: Context, image_id: str) -> None:
        older.delete(self._cloud, ctx, image_id)


def _info(record: Record) -> ImageInfo:
    image = record.image
    return ImageInfo(
        id=image.id,
        name=image.name,
        owner=image.owner,
        status=image.status,
        visibility=image.visibility,
        disk_format=image.disk_format,
        container_format=image.container_format,
        min_disk=image.min_disk,
        min_ram=image.min_ram,
        protected=image.protected,
        size=image.size,
        virtual_size=image.virtual_size,
        checksum=image.checksum,
        os_hash_algo=image.os_hash_algo,
        os_hash_value=image.os_hash_value,
        properties=record.properties,
        tags=record.tags,
        created_at=image.created_at,
        updated_at=image.updated_at,
    )
