# SPDX-License-Identifier: Apache-2.0
"""The tables of the identity service, columns named and ordered as the fields in `types`."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, MetaData, String, Table, Text

metadata = MetaData()

region = Table(
    "identity_region",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("description", Text, nullable=False),
    Column("parent_region_id", String(255), ForeignKey("identity_region.id")),
    Index("identity_region_parent", "parent_region_id"),
)
