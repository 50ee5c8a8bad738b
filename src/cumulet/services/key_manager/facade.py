# SPDX-License-Identifier: Apache-2.0
"""What the key manager offers to other services; loaded at each start, so it loads no more itself until it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.services.key_manager.contract import KeyManagerContract


def offers(cloud: Cloud) -> dict[type, Callable[[], Any]]:
    """What this service offers: Protocol to maker."""
    return {KeyManagerContract: lambda: _key_manager(cloud)}


def _key_manager(cloud: Cloud) -> KeyManagerContract:
    from cumulet.services.key_manager.logic.for_services import KeyManager

    return KeyManager(cloud)
