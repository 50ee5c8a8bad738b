# SPDX-License-Identifier: Apache-2.0
"""The link's own tables: which hosts there are, who holds their links, and who may join."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData, String, Table

from cumulet.kernel.db.sql import Json

metadata = MetaData()

# Times are seconds since the epoch. `fingerprint` is of the host's newest certificate, NULL for a host on a UNIX
# socket; `fingerprint_before` that of the one before, until the host is known to have the newest. `replica` holds the
# link; `parting` is the replica that still tells its services of the last link's end.
host = Table(
    "kernel_host",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("fingerprint", String(64)),
    Column("fingerprint_before", String(64)),
    Column("certificate_until", Float),
    Column("revoked", Boolean, nullable=False),
    Column("joined_at", Float, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("replica", String(255)),
    Column("parting", String(255)),
    Column("connected_at", Float),
    Column("reported_at", Float),
    Column("seen_at", Float, nullable=False),
    Column("version", String(64), nullable=False),
    Column("capabilities", Json, nullable=False),
)

# `beat` rises while the replica lives; the others watch it by clocks of their own.
replica = Table(
    "kernel_replica",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("address", String(255), nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("started_at", Float, nullable=False),
)

join_token = Table(
    "kernel_join_token",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("host", String(255)),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)
