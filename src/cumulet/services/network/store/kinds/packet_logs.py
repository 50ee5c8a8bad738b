# SPDX-License-Identifier: Apache-2.0
"""Packet logs."""

from __future__ import annotations

from cumulet.services.network.store.kinds.base import Kind
from cumulet.services.network.tables import packet_logs as tables
from cumulet.services.network.types.packet_logs import PacketLog

KINDS = (Kind(PacketLog, tables.packet_log, "LogResourceNotFound"),)
