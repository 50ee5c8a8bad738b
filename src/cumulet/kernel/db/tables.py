# SPDX-License-Identifier: Apache-2.0
"""The kernel's own tables."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

from cumulet.kernel.db.sql import Json

metadata = MetaData()

migration = Table(
    "kernel_migration",
    metadata,
    Column("service", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("applied_at", Float, nullable=False),
)

outbox = Table(
    "kernel_outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("topic", String(255), nullable=False),
    Column("payload", Json, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,
)

lease = Table(
    "kernel_lease",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("until", Float, nullable=False),
)

saga = Table(
    "kernel_saga",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("flow", String(128), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("args", Json, nullable=False),
    Column("state", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("step", Integer, nullable=False),
    Column("cancelled", Boolean, nullable=False),
    Column("error", Text),
    Column("attempts", Integer, nullable=False),
    Column("wake_at", Float, nullable=False),
    Column("step_since", Float, nullable=False),
    Column("owner", String(255)),
    Column("lease_until", Float, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Index("kernel_saga_open", "finished_at", "wake_at"),
    Index("kernel_saga_subject", "subject"),
    sqlite_autoincrement=True,
)
