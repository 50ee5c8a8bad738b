# SPDX-License-Identifier: Apache-2.0
"""Rows of QoS specs."""

from __future__ import annotations

from datetime import datetime

import msgspec

CONSUMERS = ("back-end", "front-end", "both")


class QosSpecs(msgspec.Struct):
    """What volumes of the types that it is associated with are kept to, by the back end, the hypervisor, or both."""

    id: str
    name: str
    consumer: str
    specs: dict[str, str | None]
    created_at: datetime
    updated_at: datetime | None
