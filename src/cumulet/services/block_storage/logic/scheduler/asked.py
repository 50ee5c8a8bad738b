# SPDX-License-Identifier: Apache-2.0
"""What is to be placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cumulet.settings.block_storage import BlockStorage


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A volume that needs `size` GiB of a back end: 0 for one whose bytes are there already.

    `project_id` is whose volumes its hints mean. `zones` are those that it may be in, none: any. `extra_specs` and
    `qos` are its type's, `words` what functions of back ends may know of it. `tried` are the pools that failed to make
    it, `exists_on` the one that has it. `attached` says that it grows while a server has it. `only` and `host` are the
    one pool or host that it may be on.
    """

    size: int
    settings: BlockStorage
    project_id: str = ""
    zones: Sequence[str] = ()
    extra_specs: Mapping[str, str] = {}
    qos: Mapping[str, Any] = {}
    words: Mapping[str, Any] = {}
    hints: Mapping[str, Any] = {}
    tried: Sequence[str] = ()
    exists_on: str = ""
    attached: bool = False
    only: str = ""
    host: str = ""

    @property
    def thin(self) -> bool:
        return self.extra_specs.get("provisioning:type") != "thick"
