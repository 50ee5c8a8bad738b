# SPDX-License-Identifier: Apache-2.0
"""What a project's images may take up: `user_storage_quota`, and its limits in the identity service where they count.

With `use_keystone_limits` the resources have Glance's names; sizes are in MiB. One without a registered limit may not
be used at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import TooLarge
from cumulet.services.identity.contract import IdentityContract
from cumulet.services.image.store import images
from cumulet.services.image.store import usage as store

SIZE = "image_size_total"
STAGED = "image_stage_total"
COUNT = "image_count_total"
UPLOADING = "image_count_uploading"

MIB = 1 << 20
_SERVICE_TYPE = "image"
_DIRECT = "glance-direct"  # the one way to import that needs no more room to stage in


class Usage(NamedTuple):
    """What a project takes up of a resource, and what it may."""

    usage: int
    limit: int


def enforce(cloud: Cloud, source: Source, project_id: str | None, resource: str, more: int = 0) -> None:
    """TooLarge where the project's usage and `more` of it are above the limit; in MiB for sizes."""
    if not cloud.settings.image_use.use_keystone_limits or project_id is None:
        return
    found = _look(cloud, source, project_id)[resource]
    if resource == UPLOADING:  # the one that begins is told as one of them
        found, more = found._replace(usage=found.usage + more), 0
    if found.limit >= 0 and found.usage + more > found.limit:
        raise TooLarge(
            "The request returned a 413 Request Entity Too Large. This generally means that rate limiting or a quota "
            "threshold was breached.\n\nThe response body:\n"
            f"Project {project_id} is over a limit for [Resource {resource} is over limit of {found.limit} due to "
            f"current usage {found.usage} and delta {more}]"
        )


def enforce_new(cloud: Cloud, tx: Tx, project_id: str | None) -> None:
    """TooLarge where the project may not have one more image; nobody else counts until the end of the transaction."""
    if cloud.settings.image_use.use_keystone_limits:
        tx.lock(f"quota:image:{project_id}")
        enforce(cloud, tx, project_id, COUNT, 1)


def are_set(cloud: Cloud) -> bool:
    """Whether there is any such bound."""
    chosen = cloud.settings.image_use
    return chosen.use_keystone_limits or _bytes(chosen.user_storage_quota) > 0


def enforce_upload(cloud: Cloud, ctx: Context, size: int) -> int | None:
    """How many bytes the caller's project may upload now (None: any number).

    TooLarge where it may not store `size` bytes more, or not begin one more upload.
    """
    enforce(cloud, cloud.db, ctx.project_id, SIZE, size // MIB)
    enforce(cloud, cloud.db, ctx.project_id, UPLOADING, 1)
    room = _room(cloud, ctx)
    check_room(room, size)
    return room


def enforce_stage(cloud: Cloud, ctx: Context, size: int) -> int | None:
    """None: any number of bytes. TooLarge where the project may not stage `size` more, or not begin one more upload."""
    enforce(cloud, cloud.db, ctx.project_id, STAGED, size // MIB)
    enforce(cloud, cloud.db, ctx.project_id, UPLOADING, 1)
    return None


def check_room(room: int | None, size: int) -> None:
    """TooLarge for more bytes than there is room for."""
    if room is not None and size > room:
        raise TooLarge(
            f"Image exceeds the storage quota: The size of the data {size} will exceed the limit. "
            f"{room} bytes remaining."
        )


def enforce_import(cloud: Cloud, ctx: Context, image_id: str, method: str) -> None:
    """TooLarge where the caller's project may not have what the import will take up."""
    if not are_set(cloud):
        return
    image = images.find(cloud.db, image_id)
    size = (image.size or 0) // MIB if image is not None else 0
    if method == _DIRECT:
        enforce(cloud, cloud.db, ctx.project_id, SIZE, size)
        check_room(_room(cloud, ctx), (image.size or 0) if image is not None else 0)
        return
    enforce(cloud, cloud.db, ctx.project_id, SIZE)
    enforce(cloud, cloud.db, ctx.project_id, STAGED, size)
    enforce(cloud, cloud.db, ctx.project_id, UPLOADING, 1)


def report(cloud: Cloud, ctx: Context) -> Mapping[str, Usage]:
    """The usages and limits of the caller's project; nothing where limits do not count."""
    if not cloud.settings.image_use.use_keystone_limits or ctx.project_id is None:
        return {}
    return _look(cloud, cloud.db, ctx.project_id)


def _room(cloud: Cloud, ctx: Context) -> int | None:
    quota = _bytes(cloud.settings.image_use.user_storage_quota)
    if quota == 0 or ctx.project_id is None:
        return None
    return max(0, quota - store.of_project(cloud.db, ctx.project_id).size)


def _bytes(said: str) -> int:
    """A number with a unit: `10GB`, `512MB`, `7`."""
    number = said.rstrip("KMGTB")
    unit = said[len(number) :].removesuffix("B")
    return int(number) << 10 * (" KMGT".index(unit) if unit else 0)


def _look(cloud: Cloud, source: Source, project_id: str) -> dict[str, Usage]:
    identity = cloud.contracts.use(IdentityContract)
    limits = identity.limits(source, _SERVICE_TYPE, cloud.settings.region, project_id)
    used = store.of_project(source, project_id)
    taken = {SIZE: used.size // MIB, STAGED: used.staged // MIB, COUNT: used.count, UPLOADING: used.uploading}
    return {name: Usage(amount, limits.get(name, 0)) for name, amount in taken.items()}
