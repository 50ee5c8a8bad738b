# SPDX-License-Identifier: Apache-2.0
"""Conntrack helpers; they belong to whom their router belongs."""

from __future__ import annotations

from cumulet.services.network.store.kinds.base import Kind, nobody
from cumulet.services.network.tables import conntrack_helpers as tables
from cumulet.services.network.types.conntrack_helpers import ConntrackHelper

KINDS = (Kind(ConntrackHelper, tables.conntrack_helper, "ConntrackHelperNotFound", seen=nobody),)
