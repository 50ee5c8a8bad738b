# SPDX-License-Identifier: Apache-2.0
"""The drivers of local stores, one object a folder, and what drafts are called in every store."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cumulet.kernel import injection
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.drivers.fake import FakeStore
from cumulet.services.image.drivers.file import FileStore

UPLOAD, PUSH, STAGE, IMPORT, COPY = "upload", "push", "stage", "import", "copy"


def home(state: Path, kind: str = "file") -> Path:
    """The folder of the cloud's first store."""
    return state / ("fake-images" if kind == "fake" else "images")


@cache
def file_store(folder: Path) -> ByteStore:
    """The store in a folder: one object, so that two names of one store can be told."""
    return FileStore(folder)


@cache
def fake_store(state: Path, folder: Path) -> ByteStore:
    """One for all of this process's requests: what faults have left to do is counted in it."""
    fake: ByteStore = FakeStore(folder=folder)
    return injection.Injection(state / injection.FILE).wrap(fake, "image.fake")


def draft(kind: str, image_id: str, suffix: str = "") -> str:
    """The name of a draft: `<kind>.<image id>` and, where several may meet, a suffix."""
    return f"{kind}.{image_id}.{suffix}" if suffix else f"{kind}.{image_id}"


def image_of(draft_name: str) -> str:
    """The id of the image that a draft is for."""
    return draft_name.split(".")[1] if "." in draft_name else ""
