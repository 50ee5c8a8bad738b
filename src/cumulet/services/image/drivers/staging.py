# SPDX-License-Identifier: Apache-2.0
"""Data that wait to become an image's: plain files in one folder, which programs can be pointed at."""

from __future__ import annotations

from pathlib import Path

from cumulet.kernel.errors import NotFound
from cumulet.services.image.drivers.file import FileStore


class StagingArea(FileStore):
    """The drafts of a store that nothing is ever published in; all replicas share its folder."""

    def draft_path(self, draft: str) -> Path:
        """Where a draft is, or would be."""
        return self._draft(draft)

    def draft_size(self, draft: str) -> int:
        """The number of bytes of a draft; NotFound where there is none."""
        try:
            return self._draft(draft).stat().st_size
        except FileNotFoundError:
            raise NotFound(f"There is no draft {draft}.") from None
