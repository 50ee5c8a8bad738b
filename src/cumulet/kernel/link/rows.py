# SPDX-License-Identifier: Apache-2.0
"""Rows of the link's tables; columns as in `tables`, in their order."""

from __future__ import annotations

from typing import Any

import msgspec


class HostRow(msgspec.Struct, frozen=True):
    """A host that has joined. Times are seconds since the epoch."""

    name: str
    fingerprint: str | None
    fingerprint_before: str | None
    certificate_until: float | None
    revoked: bool
    joined_at: float
    generation: int
    replica: str | None
    parting: str | None
    connected_at: float | None
    reported_at: float | None
    seen_at: float
    version: str
    capabilities: dict[str, Any]


class ReplicaRow(msgspec.Struct, frozen=True):
    """A replica of the control plane; `address` is where other replicas reach it (`https://HOST:PORT`, `unix:PATH`)."""

    name: str
    address: str
    beat: int
    started_at: float


class Replica(msgspec.Struct, frozen=True):
    """A replica of the control plane, seen by one of them; `heard_at`: seconds since the epoch, by its clock."""

    name: str
    lives: bool
    heard_at: float


class TokenRow(msgspec.Struct, frozen=True):
    """A join token, known by its hash alone; with `host` it is for this one."""

    hash: str
    host: str | None
    created_at: float
    expires_at: float
    used_at: float | None
