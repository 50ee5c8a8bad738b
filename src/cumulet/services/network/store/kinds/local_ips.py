# SPDX-License-Identifier: Apache-2.0
"""Local IPs, and what they mean; the latter belongs to whom the former belongs."""

from __future__ import annotations

from cumulet.services.network.store.kinds.base import Kind, nobody
from cumulet.services.network.tables import local_ips as tables
from cumulet.services.network.types.local_ips import LocalIp, LocalIpAssociation

KINDS = (
    Kind(LocalIp, tables.local_ip, "LocalIPNotFound"),
    Kind(LocalIpAssociation, tables.local_ip_association, "LocalIPAssociationNotFound", seen=nobody),
)
