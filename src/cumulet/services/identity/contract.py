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


class Allowed(msgspec.Struct, frozen=True):
    """One kind of request that a token is limited to, as `kernel.allowance.Allowance` has it."""

    service: str
    method: str
    path: str


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token stands for. `project_*` are empty without a project; `ends` is in seconds since the epoch.

    `allowed` are the only requests that it is good for, None for all.
    """

    user_id: str
    user_name: str
    user_domain_id: str
    project_id: str = ""
    project_name: str = ""
    project_domain_id: str = ""
    roles: tuple[str, ...] = ()
    service_roles: tuple[str, ...] = ()
    allowed: tuple[Allowed, ...] | None = None
    ends: float


class KeyHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an access key stands for, and the secret that its requests are signed with."""

    holder: Holder
    secret: str

    def __repr__(self) -> str:
        return f"KeyHolder({self.holder!r})"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An answer over the link, concluded in `epoch`: it holds until that has grown, or the holder's time has ended."""

    epoch: int
    holder: Holder | None = None
    key: KeyHolder | None = None


class ObjectStoreAuth(Protocol):
    """What the object store's process asks over the link, by the verbs in `VERBS`: it has no database of its own."""

    def epoch(self) -> int:
        """Grows whenever something has changed that a token or an access key stands for."""

    def token(self, token: str, service_token: str = "") -> Told:
        """Without a holder where one of them is not valid. With the token of a service one that has ended is taken."""

    def access_key(self, access: str) -> Told:
        """Without a key where none of that name is good for anything."""


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """Where a project's account in the object store is, and what is shown there in the place of a token."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"Pass({self.url!r})"


class ObjectStorePasses(Protocol):
    """What a service that keeps things in the object store has instead of a user with a password."""

    def issue(self, source: Source, service: str, project_id: str, life: float) -> Pass:
        """A pass for the account of a project, whoever has left it, good for `life` seconds and for nothing else.

        The store takes `service` for the user. Raises Conflict where there is no object store.
        """


EPOCH, TOKEN, ACCESS_KEY = "identity.epoch", "identity.token", "identity.access_key"


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
