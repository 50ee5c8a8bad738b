# SPDX-License-Identifier: Apache-2.0
"""Images as compute's older API asks for them (`contract.OlderImages`)."""

from __future__ import annotations

from collections.abc import Mapping

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import Forbidden
from cumulet.services.image.contract import ImageQuery
from cumulet.services.image.logic import access, changes, images
from cumulet.services.image.logic.changes import Change
from cumulet.services.image.store.search import Filter, Search
from cumulet.services.image.types import RESERVED_PREFIX, Image, Record

# What no word on an image may be called.
_FIELDS = frozenset(Image.__struct_fields__) | {changes.TAGS, changes.LOCATIONS, "direct_url", "file", "schema", "self"}


def find_all(cloud: Cloud, ctx: Context, wanted: ImageQuery) -> list[Record]:
    """One page of what the caller may see; hidden images are not listed."""
    if not cloud.allows(access.SERVICE, "get_images", ctx, {"project_id": ctx.project_id}):
        raise access.refused("get_images")
    filters = [Filter("os_hidden", "eq", False)]
    for name in ("name", "status", "min_ram", "min_disk"):
        value = getattr(wanted, name)
        if value is not None:
            filters.append(Filter(name, "eq", value))
    if wanted.changed_since is not None:
        filters.append(Filter("updated_at", "gte", wanted.changed_since))
    search = Search(
        project_id=ctx.project_id,
        everywhere=ctx.is_admin,
        filters=tuple(filters),
        properties=wanted.properties,
        marker=None if wanted.marker is None else images.marker(cloud.db, ctx, wanted.marker),
        limit=wanted.limit,
    )
    return images.find_all(cloud, ctx, search)[0]


def replace_properties(cloud: Cloud, ctx: Context, image_id: str, properties: Mapping[str, str]) -> Record:
    """Set what is given and take off what is not."""
    image = access.get_allowed(cloud, cloud.db, ctx, image_id)
    access.require(cloud, cloud.db, ctx, "modify_image", image)
    for name in properties:
        if name in _FIELDS or name.startswith(RESERVED_PREFIX):
            raise Forbidden(f"Attribute '{name}' is reserved.")
    before = access.record(cloud.db, image).properties
    wanted = [Change("remove", name) for name in before if name not in properties]
    wanted += [
        Change("replace" if name in before else "add", name, value)
        for name, value in properties.items()
        if before.get(name) != value
    ]
    return changes.update(cloud, ctx, image_id, wanted)


def delete(cloud: Cloud, ctx: Context, image_id: str) -> None:
    """Remove an image that the caller may remove."""
    image = access.get_allowed(cloud, cloud.db, ctx, image_id)
    access.require(cloud, cloud.db, ctx, "delete_image", image)
    images.delete(cloud, ctx, image_id)
