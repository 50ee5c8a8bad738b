# SPDX-License-Identifier: Apache-2.0
"""The rows of the identity service: the one definition of each resource."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

DEFAULT_DOMAIN = "default"


class Actor(StrEnum):
    """Who can be given a role."""

    USER = "user"
    GROUP = "group"


class Target(StrEnum):
    """What a role can be given on."""

    PROJECT = "project"
    DOMAIN = "domain"
    SYSTEM = "system"


SYSTEM_ID = "system"  # the target_id of every assignment on the system


class Project(msgspec.Struct, frozen=True):
    """A project, or a domain, which is the project at the root of a tree (`is_domain`; no domain_id, no parent_id)."""

    id: str
    name: str
    domain_id: str | None
    parent_id: str | None
    description: str
    enabled: bool
    is_domain: bool
    options: dict[str, Any]
    extra: dict[str, Any]


class Tag(msgspec.Struct, frozen=True):
    """One tag of a project."""

    project_id: str
    name: str


class User(msgspec.Struct, frozen=True):
    """A user. `extra` holds what callers stored beside the fields (`email`, `description`)."""

    id: str
    name: str
    domain_id: str
    default_project_id: str | None
    enabled: bool
    options: dict[str, Any]
    extra: dict[str, Any]
    created_at: datetime


class Password(msgspec.Struct, frozen=True):
    """The hash of a user's password; `self_service`: the user chose it, not an administrator."""

    user_id: str
    hash: str
    created_at: datetime
    expires_at: datetime | None = None
    self_service: bool = False


class FormerPassword(msgspec.Struct, frozen=True):
    """The hash of a password that a user had before and may not choose again."""

    id: str
    user_id: str
    hash: str
    created_at: datetime


class Account(msgspec.Struct, frozen=True):
    """What log-ins leave behind: failures since the last success, and the last day of use.

    A row need not belong to a user: failures of unknown ones are counted too, so that they take the same time.
    """

    user_id: str
    failures: int
    failed_at: datetime | None
    last_active_at: datetime | None


class DomainOption(msgspec.Struct, frozen=True):
    """An option of a domain's own configuration; the value of a sensitive one is None here and stands in the vault."""

    domain_id: str
    section: str
    name: str
    value: Any


class DirectoryEntry(msgspec.Struct, frozen=True):
    """A user or group of an outside directory under its public id; what is known of it are rows as any other's.

    `refreshed_at` is when the directory last told of it, `used_at` when its user last logged in.
    """

    id: str
    domain_id: str
    kind: str
    local_id: str
    refreshed_at: datetime
    used_at: datetime | None = None


class Group(msgspec.Struct, frozen=True):
    """A group of users."""

    id: str
    name: str
    domain_id: str
    description: str
    extra: dict[str, Any]


class Membership(msgspec.Struct, frozen=True):
    """A user in a group."""

    group_id: str
    user_id: str


class Role(msgspec.Struct, frozen=True):
    """A role; with a domain_id it is that domain's own and reaches tokens only through the roles that it implies."""

    id: str
    name: str
    domain_id: str | None
    description: str | None
    options: dict[str, Any]
    extra: dict[str, Any]


class ImpliedRole(msgspec.Struct, frozen=True):
    """Whoever holds `prior_id` holds `implied_id` too."""

    prior_id: str
    implied_id: str


class Assignment(msgspec.Struct, frozen=True):
    """A role of an actor on a target; `inherited`: not there but on the projects below."""

    actor: str
    actor_id: str
    target: str
    target_id: str
    role_id: str
    inherited: bool


class Region(msgspec.Struct, frozen=True):
    """A geographic or other division of the cloud; regions form trees."""

    id: str
    description: str
    parent_region_id: str | None
    extra: dict[str, Any] = {}


class Service(msgspec.Struct, frozen=True):
    """An entry of the catalogue."""

    id: str
    type: str
    name: str
    description: str | None
    enabled: bool
    extra: dict[str, Any]


class Endpoint(msgspec.Struct, frozen=True):
    """An address of a service; `interface` is public, internal or admin; `url` may hold `$(project_id)s`."""

    id: str
    interface: str
    region_id: str | None
    service_id: str
    url: str
    enabled: bool
    extra: dict[str, Any]


class Credential(msgspec.Struct, frozen=True):
    """Something secret that is kept for a user; `blob` is encrypted."""

    id: str
    user_id: str
    project_id: str | None
    type: str
    blob: str
    extra: dict[str, Any]


class ApplicationCredential(msgspec.Struct, frozen=True):
    """A secret that stands for a user in one project, with some of the user's roles; `hash` is the secret's."""

    id: str
    user_id: str
    project_id: str
    name: str
    description: str | None
    hash: str
    unrestricted: bool | None
    role_ids: list[str]
    expires_at: datetime | None
    created_at: datetime
    access_rule_ids: list[str] | None = None


class AccessRule(msgspec.Struct, frozen=True):
    """A request that tokens of some application credential may make; `path` may hold `{name}`, `*` and `**`."""

    id: str
    user_id: str
    service: str
    path: str
    method: str


class Trust(msgspec.Struct, frozen=True):
    """What a trustor lets a trustee do in the trustor's name, or (`impersonation` false) with the trustor's roles.

    `redelegated_trust_id` is the trust by which this one was made, `redelegation_count` how often it may be handed on.
    A trust that has been deleted stays, for the record, until it is flushed.
    """

    id: str
    trustor_user_id: str
    trustee_user_id: str
    project_id: str | None
    impersonation: bool
    role_ids: list[str]
    expires_at: datetime | None
    remaining_uses: int | None
    redelegated_trust_id: str | None
    redelegation_count: int
    deleted_at: datetime | None
    extra: dict[str, Any]


class Revocation(msgspec.Struct, frozen=True):
    """Tokens that are void: all that match every field that is not None and were issued before `issued_before`.

    A row is of no use once every token that it can match has expired.
    """

    id: str
    user_id: str | None
    project_id: str | None
    domain_id: str | None
    audit_id: str | None
    audit_chain_id: str | None
    issued_before: datetime
    revoked_at: datetime
    trust_id: str | None = None
    consumer_id: str | None = None
    access_token_id: str | None = None


class Epoch(msgspec.Struct, frozen=True):
    """A counter that grows with every change that can make a token worth less or more."""

    id: int
    value: int


class RegisteredLimit(msgspec.Struct, frozen=True):
    """The default limit of a resource of a service."""

    id: str
    service_id: str
    region_id: str | None
    resource_name: str
    default_limit: int
    description: str | None


class Limit(msgspec.Struct, frozen=True):
    """A project's or domain's own limit in the place of a registered one."""

    id: str
    registered_limit_id: str
    project_id: str | None
    domain_id: str | None
    resource_limit: int
    description: str | None


class EndpointGroup(msgspec.Struct, frozen=True):
    """All endpoints that have the values of `filters`: service_id, region_id, interface."""

    id: str
    name: str
    description: str | None
    filters: dict[str, Any]


class ProjectEndpoint(msgspec.Struct, frozen=True):
    """An endpoint that a project's catalogue is limited to, among others."""

    project_id: str
    endpoint_id: str


class ProjectEndpointGroup(msgspec.Struct, frozen=True):
    """A group of endpoints that a project's catalogue is limited to, among others."""

    project_id: str
    endpoint_group_id: str


class StoredPolicy(msgspec.Struct, frozen=True):
    """A document that is kept for other services; nothing here judges by it."""

    id: str
    type: str
    blob: str
    extra: dict[str, Any]


class PolicyAssociation(msgspec.Struct, frozen=True):
    """A stored policy for one endpoint, for a service, or for a service in a region and the regions below it."""

    id: str
    policy_id: str
    endpoint_id: str | None
    service_id: str | None
    region_id: str | None


class Consumer(msgspec.Struct, frozen=True):
    """A program that asks users for a share of their rights (OAuth 1); its secret is derived from its id."""

    id: str
    description: str | None
    extra: dict[str, Any]


class RequestToken(msgspec.Struct, frozen=True):
    """What a consumer asks for; once a user has agreed there are a verifier, the user's id and the roles lent."""

    id: str
    consumer_id: str
    project_id: str
    user_id: str | None
    role_ids: list[str] | None
    verifier: str | None
    expires_at: datetime | None


class AccessToken(msgspec.Struct, frozen=True):
    """What a user has lent a consumer: some roles on a project."""

    id: str
    consumer_id: str
    project_id: str
    user_id: str
    role_ids: list[str]
    expires_at: datetime | None


class Federation(msgspec.Struct, frozen=True):
    """Who vouched for a user from elsewhere, by which protocol, and the groups that the user was mapped to."""

    identity_provider_id: str
    protocol_id: str
    group_ids: tuple[str, ...] = ()


class IdentityProvider(msgspec.Struct, frozen=True):
    """Somebody else who proves users; those it proves live in `domain_id`.

    `authorization_ttl` is for how many minutes a group that a log-in brought outlives it (None: the cloud's own).
    """

    id: str
    domain_id: str
    enabled: bool
    description: str | None
    authorization_ttl: int | None


class RemoteId(msgspec.Struct, frozen=True):
    """A name by which an identity provider calls itself: an issuer, an entity id."""

    remote_id: str
    idp_id: str


class Protocol(msgspec.Struct, frozen=True):
    """A way in by an identity provider, and the mapping that says whom it lets in as whom."""

    id: str
    idp_id: str
    mapping_id: str
    remote_id_attribute: str | None


class Mapping(msgspec.Struct, frozen=True):
    """Rules from what an identity provider says of somebody to users, groups and projects here."""

    id: str
    rules: list[dict[str, Any]]
    schema_version: str


class ServiceProvider(msgspec.Struct, frozen=True):
    """Another cloud that lets in whom this one has proven."""

    id: str
    enabled: bool
    description: str | None
    auth_url: str
    sp_url: str
    relay_state_prefix: str


class FederatedUser(msgspec.Struct, frozen=True):
    """Who a user is to an identity provider."""

    idp_id: str
    protocol_id: str
    unique_id: str
    user_id: str
    display_name: str


class ExpiringMembership(msgspec.Struct, frozen=True):
    """A user in a group for a while, because an identity provider said so at the last log-in."""

    user_id: str
    group_id: str
    idp_id: str
    expires_at: datetime


class SpentAssertion(msgspec.Struct, frozen=True):
    """An assertion that somebody has logged in with, kept until it is of no use anyway."""

    id: str
    expires_at: datetime


class Token(msgspec.Struct, frozen=True):
    """What a token says in its sealed payload.

    `target` and `target_id` are its scope (both None: unscoped). Times are seconds since the epoch. `audit_ids` are the
    token's own and, where it was made from another token, that of the first one in the chain. `user_id` is whoever
    logged in: by a trust, the trustee. `thumbprint` is that of the certificate that a client must show with it.
    """

    user_id: str
    methods: tuple[str, ...]
    target: str | None
    target_id: str | None
    audit_ids: tuple[str, ...]
    issued_at: float
    expires_at: int
    application_credential_id: str | None = None
    trust_id: str | None = None
    access_token_id: str | None = None
    thumbprint: str | None = None
    federation: Federation | None = None

    @property
    def audit_id(self) -> str:
        return self.audit_ids[0]

    @property
    def audit_chain_id(self) -> str:
        """The audit id of the chain's first token."""
        return self.audit_ids[-1]


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """A valid token with all that it stands for, as it is at this moment.

    `user` is whoever the bearer acts as: by a trust with impersonation the trustor, else whoever logged in.
    """

    token: Token
    user: User
    user_domain: Project
    password_expires_at: datetime | None = None
    project: Project | None = None
    project_domain: Project | None = None
    domain: Project | None = None
    system: bool = False
    roles: tuple[Role, ...] = ()
    application_credential: ApplicationCredential | None = None
    access_rules: tuple[AccessRule, ...] | None = None
    trust: Trust | None = None
    consumer_id: str | None = None
