# SPDX-License-Identifier: Apache-2.0
"""Whether images and their bytes agree, here and in the copies of hosts."""

from __future__ import annotations

from collections.abc import Iterator

from cumulet.kernel.audit import Finding, Look
from cumulet.services.image.logic.bytes import store
from cumulet.services.image.store import images
from cumulet.services.image.types import WITH_DATA, ImageStatus


def audit(look: Look) -> Iterator[Finding]:
    """Every disagreement. Bytes of uploads that died are no finding: they are removed after a while."""
    db, kept = look.cloud.db, store(look.cloud)
    there = set(kept.published())
    known = images.ids(db)
    for status in ImageStatus:
        for image in images.with_status(db, status):
            if status in WITH_DATA and image.id not in there:
                yield look.found(image.id, f"image is {image.status}, and its bytes are gone")
            elif status in WITH_DATA and kept.size(image.id) != image.size:
                yield look.found(image.id, f"image is said to have {image.size} bytes, and has others")
    for image_id in there - known:
        yield look.found(image_id, "bytes of an image that is gone")
    for host, has in look.hosts.items():
        for image_id in set(has["copies"]) - known:
            yield look.found(image_id, f"host {host} keeps a copy of an image that is gone")
        for name in set(has["files"]) - set(has["kept"]):
            yield look.found(name, f"host {host} has a file of images that nothing names")
