# SPDX-License-Identifier: Apache-2.0
"""NDP proxies."""

from __future__ import annotations

from cumulet.services.network.store.kinds.base import Kind
from cumulet.services.network.tables import ndp_proxies as tables
from cumulet.services.network.types.ndp_proxies import NdpProxy

KINDS = (Kind(NdpProxy, tables.ndp_proxy, "NDPProxyNotFound"),)
