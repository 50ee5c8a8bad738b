# SPDX-License-Identifier: Apache-2.0
"""RBAC policies: who may use what another project owns."""

from __future__ import annotations

from datetime import datetime

import msgspec

AS_SHARED, AS_EXTERNAL = "access_as_shared", "access_as_external"
EVERYBODY = "*"


class RbacPolicy(msgspec.Struct, frozen=True):
    """Lets `target_project` (EVERYBODY: any) do `action` with an object. `project_id` is the policy's own owner."""

    id: str
    project_id: str
    object_type: str
    object_id: str
    action: str
    target_project: str
    created_at: datetime
