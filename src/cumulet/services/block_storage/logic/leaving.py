# SPDX-License-Identifier: Apache-2.0
"""What is left of a volume in a place that it has left, and the work that removes it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx


def begin(cloud: Cloud, tx: Tx, args: Mapping[str, Any], request_id: str) -> None:
    """Begin to remove it; `args` are those of `flows.leave`."""
    at = subject(args["volume_id"], args["host"], args["backend"])
    cloud.sagas.start(tx, "block_storage.leave", at, args, request_id)


def subject(volume_id: str, host: str, backend: str) -> str:
    """The name of the work that removes what is left of a volume in one place."""
    return str(uuid.uuid5(uuid.UUID(volume_id), f"{host}/{backend}"))
