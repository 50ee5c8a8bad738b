# SPDX-License-Identifier: Apache-2.0
"""RBAC policies."""

from __future__ import annotations

from cumulet.services.network import tables
from cumulet.services.network.store.kinds.base import Kind
from cumulet.services.network.types import RbacPolicy

KINDS = (Kind(RbacPolicy, tables.rbac_policy, "RbacPolicyNotFound", "rbac_policy"),)
