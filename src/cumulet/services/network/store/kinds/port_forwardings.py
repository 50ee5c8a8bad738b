# SPDX-License-Identifier: Apache-2.0
"""Port forwardings; they belong to whom their floating IP belongs."""

from __future__ import annotations

from cumulet.services.network.store.kinds.base import Kind, nobody
from cumulet.services.network.tables import port_forwardings as tables
from cumulet.services.network.types.port_forwardings import PortForwarding

KINDS = (Kind(PortForwarding, tables.port_forwarding, "PortForwardingNotFound", seen=nobody),)
