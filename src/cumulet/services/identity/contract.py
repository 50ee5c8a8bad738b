# SPDX-License-Identifier: Apache-2.0
"""What other services may ask of identity; for a token's caller there is `kernel.auth.Authenticator`."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias

import msgspec

# What a store can read from: a transaction or a snapshot.
Source: TypeAlias = Any


class DomainInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A domain."""

    id: str
    name: str
    enabled: bool


class ProjectInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A project. `parent_id` is its domain's id for a project that stands directly below the domain."""

    id: str
    name: str
    domain_id: str
    parent_id: str | None
    enabled: bool


class UserInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A user."""

    id: str
    name: str
    domain_id: str
    enabled: bool
    email: str | None = None


class IdentityContract(Protocol):
    """In the control plane and in the data process."""

    def project(self, source: Source, project_id: str) -> ProjectInfo | None:
        """The project, or None where there is none (any more)."""

    def project_named(self, source: Source, name: str, domain_id: str = "default") -> ProjectInfo | None:
        """The project of that name in a domain."""

    def projects(self, source: Source) -> list[ProjectInfo]:
        """All projects."""

    def user(self, source: Source, user_id: str) -> UserInfo | None:
        """The user, or None where there is none (any more)."""

    def domain(self, source: Source, domain_id: str) -> DomainInfo | None:
        """The domain, or None where there is none (any more)."""

    def catalog(self, source: Source, user_id: str, project_id: str | None) -> list[dict[str, Any]]:
        """The catalogue as tokens show it: `[{"type": ..., "name": ..., "endpoints": [{"url": ...}]}]`."""

    def url(
        self,
        source: Source,
        service_type: str,
        project_id: str | None = None,
        interface: Literal["public", "internal", "admin"] = "public",
    ) -> str | None:
        """Where a service is found; None where the catalogue does not have it."""

    def limits(self, source: Source, service_type: str, region: str | None, project_id: str | None) -> dict[str, int]:
        """The limits of a service's resources by name, the project's own where it has some; -1: as much as it likes.

        A resource that is not named has no registered limit.
        """
