# SPDX-License-Identifier: Apache-2.0
"""Settings of volumes."""

from __future__ import annotations

from typing import Literal

from cumulet.settings.base import Section


class BlockStorage(Section, frozen=True, kw_only=True):
    """Volumes."""

    driver: Literal["file", "fake"] = "file"
