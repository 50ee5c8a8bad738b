# SPDX-License-Identifier: Apache-2.0
"""The tables of the placement service, columns named and ordered as the fields in `types`.

Traits, classes and aggregates are kept by name: the standard ones have no rows that could be referred to.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Float, ForeignKey, Index, Integer, MetaData, String, Table

metadata = MetaData()

provider = Table(
    "placement_provider",
    metadata,
    Column("uuid", String(36), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("parent_uuid", String(36), ForeignKey("placement_provider.uuid")),
    Column("root_uuid", String(36), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Index("placement_provider_name", "name", unique=True),
    Index("placement_provider_root", "root_uuid"),
    Index("placement_provider_parent", "parent_uuid"),
)

inventory = Table(
    "placement_inventory",
    metadata,
    Column("provider_uuid", String(36), ForeignKey("placement_provider.uuid"), primary_key=True),
    Column("resource_class", String(255), primary_key=True),
    Column("total", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("min_unit", Integer, nullable=False),
    Column("max_unit", Integer, nullable=False),
    Column("step_size", Integer, nullable=False),
    Column("allocation_ratio", Float(53), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Index("placement_inventory_class", "resource_class"),
)

trait = Table(
    "placement_trait",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("created_at", DateTime, nullable=False),
)

resource_class = Table(
    "placement_resource_class",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("created_at", DateTime, nullable=False),
)

provider_trait = Table(
    "placement_provider_trait",
    metadata,
    Column("provider_uuid", String(36), ForeignKey("placement_provider.uuid"), primary_key=True),
    Column("trait", String(255), primary_key=True),
    Index("placement_provider_trait_trait", "trait"),
)

provider_aggregate = Table(
    "placement_provider_aggregate",
    metadata,
    Column("provider_uuid", String(36), ForeignKey("placement_provider.uuid"), primary_key=True),
    Column("aggregate_uuid", String(36), primary_key=True),
    Index("placement_provider_aggregate_aggregate", "aggregate_uuid"),
)

consumer = Table(
    "placement_consumer",
    metadata,
    Column("uuid", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("user_id", String(255), nullable=False),
    Column("type", String(255)),
    Column("generation", Integer, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Index("placement_consumer_project", "project_id", "user_id"),
)

allocation = Table(
    "placement_allocation",
    metadata,
    Column("consumer_uuid", String(36), ForeignKey("placement_consumer.uuid"), primary_key=True),
    Column("provider_uuid", String(36), ForeignKey("placement_provider.uuid"), primary_key=True),
    Column("resource_class", String(255), primary_key=True),
    Column("used", Integer, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Index("placement_allocation_provider", "provider_uuid", "resource_class", "used"),
)

change = Table(
    "placement_change",
    metadata,
    Column("provider_uuid", String(36), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Index("placement_change_number", "number"),
)
