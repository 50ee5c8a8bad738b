# SPDX-License-Identifier: Apache-2.0
"""Volumes on their way to another back end."""

from __future__ import annotations

import msgspec


class Move(msgspec.Struct):
    """A volume's way to `backend` of `host` (both "" until they are chosen), where its `size` (GiB) is taken already.

    `type_id` is the type that it gets there, None where it keeps its own, and counts against that type's quota;
    `multiattach` is that type's. `generation` is that of the attachments by which the target is opened. `attached`
    says that its server's host moves it.
    """

    volume_id: str
    project_id: str
    size: int
    type_id: str | None = None
    multiattach: bool | None = None
    host: str = ""
    backend: str = ""
    generation: int = 0
    attached: bool = False
