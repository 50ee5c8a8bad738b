# SPDX-License-Identifier: Apache-2.0
"""Trunks."""

from __future__ import annotations

from cumulet.services.network.store.kinds.base import Kind
from cumulet.services.network.tables import trunks as tables
from cumulet.services.network.types.trunks import Trunk

KINDS = (Kind(Trunk, tables.trunk, "TrunkNotFound", "trunk"),)
