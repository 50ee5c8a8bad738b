# SPDX-License-Identifier: Apache-2.0
"""Flavors, which everybody may choose from, and their service profiles, of which policy keeps the others."""

from __future__ import annotations

from sqlalchemy import ColumnElement, true

from cumulet.kernel.context import Context
from cumulet.services.network import tables
from cumulet.services.network.store.kinds.base import Kind
from cumulet.services.network.types.flavors import Flavor, ServiceProfile


def _everybody(ctx: Context) -> ColumnElement[bool]:
    return true()


KINDS = (
    Kind(Flavor, tables.flavor, "FlavorNotFound", seen=_everybody),
    Kind(ServiceProfile, tables.service_profile, "ServiceProfileNotFound", seen=_everybody),
)
