# SPDX-License-Identifier: Apache-2.0
"""Images as hosts copy them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError, NotFound
from cumulet.services.image.logic import access, locations
from cumulet.services.image.store import images
from cumulet.services.image.types import HASH_ALGORITHM, WITH_DATA, Described, Image

LOG = logging.getLogger(__name__)

PATIENCE = 300.0  # seconds in which a host fetches a GiB
LONGEST = 4 << 20  # bytes in one answer; less than a frame of the link


def describe(cloud: Cloud, image_id: str) -> dict[str, Any]:
    """`types.Described` of an image, as plain data; NotFound for one without data."""
    found = images.find(cloud.db, image_id)
    if found is None:
        raise access.not_found(image_id)
    if found.status not in WITH_DATA or found.size is None:
        raise NotFound(f"Image {image_id} has no data.")
    about = Described(found.size, locations.sha512(cloud, found), found.disk_format or "")
    described: dict[str, Any] = msgspec.to_builtins(about)
    return described


def read(cloud: Cloud, image_id: str, offset: int, length: int) -> bytes:
    """A piece of an image's data."""
    return locations.read(cloud, image_id, offset, min(length, LONGEST))


def forget(cloud: Cloud, host: str, image_id: str) -> None:
    """Tell a host that an image is gone; one that is not there reports its copies when it is back."""
    try:
        cloud.hosts.call(host, "image.forget", {"id": image_id})
    except CumuletError as error:
        LOG.info("host %s was not told that image %s is gone: %s", host, image_id, error.message)


def forget_outdated(cloud: Cloud, host: str, report: Mapping[str, Any]) -> None:
    """Let a host forget those of the copies in its report that are of no image any more, or of another one."""
    told: Mapping[str, str] = report.get("copies", {})
    for image_id, sha512 in told.items():
        found = images.find(cloud.db, image_id)
        if found is None or _differs(found, sha512):
            forget(cloud, host, image_id)


def _differs(image: Image, sha512: str) -> bool:
    """Whether a host's copy has other bytes; no sum ("") is that of a copy which is just being made."""
    return bool(sha512) and image.os_hash_algo == HASH_ALGORITHM and image.os_hash_value != sha512


def prefetch(cloud: Cloud, host: str, image_id: str) -> None:
    """Let a host have its copy of an image; see `contract.ImageContract.prefetch`."""
    size = describe(cloud, image_id)["size"]
    cloud.hosts.call(host, "image.prefetch", {"id": image_id}, timeout=PATIENCE * (1 + size / (1 << 30)))


def tidy(cloud: Cloud) -> None:
    """Let every host remove the copies that it has not used for long, or has no room for, or whose image is gone."""
    for host in cloud.hosts.connected():
        try:
            report = cloud.hosts.call(host.name, "image.tidy", {})
        except CumuletError as error:
            LOG.info("host %s did not tidy its copies of images: %s", host.name, error.message)
        else:
            forget_outdated(cloud, host.name, report or {})  # hosts of the release before do not report
