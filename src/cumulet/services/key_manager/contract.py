# SPDX-License-Identifier: Apache-2.0
"""What other services may ask of the key manager: keys of encrypted volumes, certificates of listeners and images.

A caller's rights are those of the context: what a user may not read, a service that acts for the user may not either.
A reference is a secret's (or container's) id or its address.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol, TypeAlias

import msgspec

from cumulet.kernel.context import Context

# What a store can read from, and write to.
Source: TypeAlias = Any
Tx: TypeAlias = Any


class SecretInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A secret with its payload, which must never be logged. `type` is symmetric, certificate, private, ..."""

    id: str
    name: str | None
    type: str
    content_type: str
    algorithm: str | None
    bit_length: int | None
    mode: str | None
    payload: bytes


class NewSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret to be kept in the caller's project."""

    payload: bytes
    content_type: str = "application/octet-stream"
    name: str | None = None
    type: str = "opaque"
    algorithm: str | None = None
    bit_length: int | None = None
    mode: str | None = None
    expiration: datetime | None = None


class Consumer(msgspec.Struct, frozen=True):
    """Who needs a secret: `Consumer("block-storage", "volume", VOLUME_ID)`."""

    service: str
    resource_type: str
    resource_id: str


class SealedSecret(Protocol):
    """A secret that is sealed already, and in the database once `store` has had it."""

    @property
    def id(self) -> str: ...


class KeyManagerContract(Protocol):
    """In the control plane and in the data process."""

    def fetch(self, ctx: Context, ref: str) -> SecretInfo:
        """A secret with its payload; NotFound, Forbidden by policy (`secret:decrypt`)."""

    def read(self, ref: str) -> SecretInfo:
        """A secret that the calling service has stored for itself, with its payload; NotFound. Asks no policy."""

    def bundle(self, ctx: Context, ref: str) -> dict[str, SecretInfo]:
        """The secrets of a container with their payloads, by name (`certificate`, `private_key`, `intermediates`)."""

    def seal(self, ctx: Context, new: NewSecret) -> SealedSecret:
        """Make a secret ready to be stored; not inside a `write`. Raises Forbidden (`secrets:post`), TooLarge."""

    def store(self, tx: Tx, sealed: SealedSecret) -> str:
        """Put a sealed secret into the database with the caller's commit; its id. Raises OverQuota."""

    def add_consumer(self, tx: Tx, ctx: Context, ref: str, consumer: Consumer) -> None:
        """Register who needs a secret, with the caller's commit; again is no matter. NotFound, Forbidden, OverQuota."""

    def remove_consumer(self, tx: Tx, ref: str, consumer: Consumer) -> None:
        """Forget who needed a secret; one that is not there, or whose secret is not, is no matter."""

    def delete(self, tx: Tx, ref: str) -> None:
        """Delete a secret that the calling service has stored for itself; one that is not there is no matter."""

    def delete_as(self, tx: Tx, ctx: Context, ref: str) -> None:
        """Delete a secret as its user may.

        Raises NotFound, Forbidden (`secret:delete`), Invalid while it has consumers.
        """
