# SPDX-License-Identifier: Apache-2.0
"""Periodic work: seal anew what a rotation has missed, and let go of keys that nothing needs."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.periodic import Periodic
from cumulet.services.key_manager.logic import keys

TIDY = 3600.0  # seconds


def tidy_keys(cloud: Cloud) -> None:
    keys.ring(cloud).tidy()


LOOPS = (Periodic("key_manager.keys", TIDY, tidy_keys),)
