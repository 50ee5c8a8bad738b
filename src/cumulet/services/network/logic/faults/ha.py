# SPDX-License-Identifier: Apache-2.0
"""Refusals of routers on several hosts."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "DuplicatedHANetwork": (Conflict, "Project {project_id} already has a HA network."),
}
