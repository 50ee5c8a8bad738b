# SPDX-License-Identifier: Apache-2.0
"""Where this cloud keeps the bytes of its images, and under which names."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cumulet.kernel import injection
from cumulet.kernel.cloud import Cloud
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.drivers.fake import FakeStore
from cumulet.services.image.drivers.file import FileStore

UPLOAD, PUSH, STAGE, IMPORT = "upload", "push", "stage", "import"


def store(cloud: Cloud) -> ByteStore:
    """The byte store of this cloud; an image's data are kept under its id."""
    if cloud.settings.image.driver == "fake":
        return _fake(cloud.settings.state)
    return FileStore(cloud.settings.state / "images")


@cache
def _fake(state: Path) -> ByteStore:
    """One for all of this process's requests: what faults have left to do is counted in it."""
    fake: ByteStore = FakeStore(folder=state / "fake-images")
    return injection.Injection(state / injection.FILE).wrap(fake, "image.fake")


def draft(kind: str, image_id: str, suffix: str = "") -> str:
    """The name of a draft: `<kind>.<image id>` and, where several may meet, a suffix."""
    return f"{kind}.{image_id}.{suffix}" if suffix else f"{kind}.{image_id}"


def image_of(draft_name: str) -> str:
    """The id of the image that a draft is for."""
    return draft_name.split(".")[1] if "." in draft_name else ""
