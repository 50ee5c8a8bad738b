# SPDX-License-Identifier: Apache-2.0
"""The tables of the identity service, columns named and ordered as the fields in `types`."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from cumulet.kernel.db.sql import Json

metadata = MetaData()

project = Table(
    "identity_project",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("domain_id", String(64), ForeignKey("identity_project.id")),
    Column("parent_id", String(64), ForeignKey("identity_project.id")),
    Column("description", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("is_domain", Boolean, nullable=False),
    Column("options", Json, nullable=False),
    Column("extra", Json, nullable=False),
    UniqueConstraint("domain_id", "name", name="identity_project_name"),
    Index("identity_domain_name", "name", unique=True, info={"where": "domain_id IS NULL"}),
    Index("identity_project_parent", "parent_id"),
)

tag = Table(
    "identity_tag",
    metadata,
    Column("project_id", String(64), ForeignKey("identity_project.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(255), primary_key=True),
)

user = Table(
    "identity_user",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("domain_id", String(64), ForeignKey("identity_project.id"), nullable=False),
    Column("default_project_id", String(64)),
    Column("enabled", Boolean, nullable=False),
    Column("options", Json, nullable=False),
    Column("extra", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    UniqueConstraint("domain_id", "name", name="identity_user_name"),
    Index("identity_user_default_project", "default_project_id"),
)

password = Table(
    "identity_password",
    metadata,
    Column("user_id", String(64), ForeignKey("identity_user.id", ondelete="CASCADE"), primary_key=True),
    Column("hash", String(255), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("expires_at", DateTime),
    Column("self_service", Boolean, nullable=False),
)

former_password = Table(
    "identity_former_password",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), ForeignKey("identity_user.id", ondelete="CASCADE"), nullable=False),
    Column("hash", String(255), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Index("identity_former_password_user", "user_id"),
)

account = Table(
    "identity_account",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("failed_at", DateTime),
    Column("last_active_at", DateTime),
)

domain_option = Table(
    "identity_domain_option",
    metadata,
    Column("domain_id", String(64), ForeignKey("identity_project.id", ondelete="CASCADE"), primary_key=True),
    Column("section", String(255), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", Json),
)

directory_entry = Table(
    "identity_directory_entry",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("domain_id", String(64), ForeignKey("identity_project.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("local_id", String(255), nullable=False),
    Column("refreshed_at", DateTime, nullable=False),
    Column("used_at", DateTime),
    UniqueConstraint("domain_id", "kind", "local_id", name="identity_directory_entry_local_id"),
    Index("identity_directory_entry_use", "used_at"),
)

group = Table(
    "identity_group",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("domain_id", String(64), ForeignKey("identity_project.id"), nullable=False),
    Column("description", Text, nullable=False),
    Column("extra", Json, nullable=False),
    UniqueConstraint("domain_id", "name", name="identity_group_name"),
)

membership = Table(
    "identity_membership",
    metadata,
    Column("group_id", String(64), ForeignKey("identity_group.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", String(64), ForeignKey("identity_user.id", ondelete="CASCADE"), primary_key=True),
    Index("identity_membership_user", "user_id"),
)

role = Table(
    "identity_role",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("domain_id", String(64), ForeignKey("identity_project.id")),
    Column("description", Text),
    Column("options", Json, nullable=False),
    Column("extra", Json, nullable=False),
    UniqueConstraint("domain_id", "name", name="identity_role_name"),
    Index("identity_global_role_name", "name", unique=True, info={"where": "domain_id IS NULL"}),
)

implied_role = Table(
    "identity_implied_role",
    metadata,
    Column("prior_id", String(64), ForeignKey("identity_role.id", ondelete="CASCADE"), primary_key=True),
    Column("implied_id", String(64), ForeignKey("identity_role.id", ondelete="CASCADE"), primary_key=True),
)

assignment = Table(
    "identity_assignment",
    metadata,
    Column("actor", String(8), primary_key=True),
    Column("actor_id", String(64), primary_key=True),
    Column("target", String(8), primary_key=True),
    Column("target_id", String(64), primary_key=True),
    Column("role_id", String(64), ForeignKey("identity_role.id", ondelete="CASCADE"), primary_key=True),
    Column("inherited", Boolean, primary_key=True),
    Index("identity_assignment_target", "target", "target_id"),
)

region = Table(
    "identity_region",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("description", Text, nullable=False),
    Column("parent_region_id", String(255), ForeignKey("identity_region.id")),
    Column("extra", Json, nullable=False),
    Index("identity_region_parent", "parent_region_id"),
)

service = Table(
    "identity_service",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("type", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column("enabled", Boolean, nullable=False),
    Column("extra", Json, nullable=False),
)

endpoint = Table(
    "identity_endpoint",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("interface", String(8), nullable=False),
    Column("region_id", String(255), ForeignKey("identity_region.id")),
    Column("service_id", String(64), ForeignKey("identity_service.id", ondelete="CASCADE"), nullable=False),
    Column("url", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("extra", Json, nullable=False),
    Index("identity_endpoint_service", "service_id"),
)

credential = Table(
    "identity_credential",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("project_id", String(64)),
    Column("type", String(255), nullable=False),
    Column("blob", Text, nullable=False),
    Column("extra", Json, nullable=False),
    Index("identity_credential_user", "user_id"),
)

application_credential = Table(
    "identity_application_credential",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), ForeignKey("identity_user.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", String(64), ForeignKey("identity_project.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column("hash", String(255), nullable=False),
    Column("unrestricted", Boolean),
    Column("role_ids", Json, nullable=False),
    Column("expires_at", DateTime),
    Column("created_at", DateTime, nullable=False),
    Column("access_rule_ids", Json),
    UniqueConstraint("user_id", "name", name="identity_application_credential_name"),
)

access_rule = Table(
    "identity_access_rule",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64), ForeignKey("identity_user.id", ondelete="CASCADE"), nullable=False),
    Column("service", String(64), nullable=False),
    Column("path", String(255), nullable=False),
    Column("method", String(16), nullable=False),
    UniqueConstraint("user_id", "service", "path", "method", name="identity_access_rule_words"),
)

trust = Table(
    "identity_trust",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("trustor_user_id", String(64), nullable=False),
    Column("trustee_user_id", String(64), nullable=False),
    Column("project_id", String(64)),
    Column("impersonation", Boolean, nullable=False),
    Column("role_ids", Json, nullable=False),
    Column("expires_at", DateTime),
    Column("remaining_uses", Integer),
    Column("redelegated_trust_id", String(64)),
    Column("redelegation_count", Integer, nullable=False),
    Column("deleted_at", DateTime),
    Column("extra", Json, nullable=False),
    Index("identity_trust_trustor", "trustor_user_id"),
    Index("identity_trust_trustee", "trustee_user_id"),
    Index("identity_trust_project", "project_id"),
    Index("identity_trust_redelegated", "redelegated_trust_id"),
)

identity_provider = Table(
    "identity_identity_provider",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("domain_id", String(64), ForeignKey("identity_project.id", ondelete="CASCADE"), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("description", Text),
    Column("authorization_ttl", Integer),
)

remote_id = Table(
    "identity_remote_id",
    metadata,
    Column("remote_id", String(255), primary_key=True),
    Column("idp_id", String(64), ForeignKey("identity_identity_provider.id", ondelete="CASCADE"), nullable=False),
)

protocol = Table(
    "identity_protocol",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("idp_id", String(64), ForeignKey("identity_identity_provider.id", ondelete="CASCADE"), primary_key=True),
    Column("mapping_id", String(64), nullable=False),
    Column("remote_id_attribute", String(64)),
)

mapping = Table(
    "identity_mapping",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("rules", Json, nullable=False),
    Column("schema_version", String(8), nullable=False),
)

service_provider = Table(
    "identity_service_provider",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("description", Text),
    Column("auth_url", String(256), nullable=False),
    Column("sp_url", String(256), nullable=False),
    Column("relay_state_prefix", String(256), nullable=False),
)

federated_user = Table(
    "identity_federated_user",
    metadata,
    Column("idp_id", String(64), ForeignKey("identity_identity_provider.id", ondelete="CASCADE"), primary_key=True),
    Column("protocol_id", String(64), primary_key=True),
    Column("unique_id", String(255), primary_key=True),
    Column("user_id", String(64), ForeignKey("identity_user.id", ondelete="CASCADE"), nullable=False),
    Column("display_name", String(255), nullable=False),
    Index("identity_federated_user_user", "user_id"),
)

expiring_membership = Table(
    "identity_expiring_membership",
    metadata,
    Column("user_id", String(64), ForeignKey("identity_user.id", ondelete="CASCADE"), primary_key=True),
    Column("group_id", String(64), ForeignKey("identity_group.id", ondelete="CASCADE"), primary_key=True),
    Column("idp_id", String(64), ForeignKey("identity_identity_provider.id", ondelete="CASCADE"), primary_key=True),
    Column("expires_at", DateTime, nullable=False),
    Index("identity_expiring_membership_group", "group_id"),
)

spent_assertion = Table(
    "identity_spent_assertion",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("expires_at", DateTime, nullable=False),
)

revocation = Table(
    "identity_revocation",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", String(64)),
    Column("project_id", String(64)),
    Column("domain_id", String(64)),
    Column("audit_id", String(32)),
    Column("audit_chain_id", String(32)),
    Column("issued_before", DateTime, nullable=False),
    Column("revoked_at", DateTime, nullable=False),
    Column("trust_id", String(64)),
    Column("consumer_id", String(64)),
    Column("access_token_id", String(64)),
    Index("identity_revocation_age", "revoked_at"),
    Index("identity_revocation_user", "user_id"),
    Index("identity_revocation_project", "project_id"),
    Index("identity_revocation_domain", "domain_id"),
    Index("identity_revocation_audit", "audit_id"),
    Index("identity_revocation_chain", "audit_chain_id"),
    Index("identity_revocation_trust", "trust_id"),
    Index("identity_revocation_consumer", "consumer_id"),
    Index("identity_revocation_access_token", "access_token_id"),
)

epoch = Table(
    "identity_epoch",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", Integer, nullable=False),
)

registered_limit = Table(
    "identity_registered_limit",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("service_id", String(64), ForeignKey("identity_service.id", ondelete="CASCADE"), nullable=False),
    Column("region_id", String(255), ForeignKey("identity_region.id")),
    Column("resource_name", String(255), nullable=False),
    Column("default_limit", Integer, nullable=False),
    Column("description", Text),
)

limit = Table(
    "identity_limit",
    metadata,
    Column("id", String(64), primary_key=True),
    Column(
        "registered_limit_id",
        String(64),
        ForeignKey("identity_registered_limit.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("project_id", String(64)),
    Column("domain_id", String(64)),
    Column("resource_limit", Integer, nullable=False),
    Column("description", Text),
)

endpoint_group = Table(
    "identity_endpoint_group",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column("filters", Json, nullable=False),
)

project_endpoint = Table(
    "identity_project_endpoint",
    metadata,
    Column("project_id", String(64), ForeignKey("identity_project.id", ondelete="CASCADE"), primary_key=True),
    Column("endpoint_id", String(64), ForeignKey("identity_endpoint.id", ondelete="CASCADE"), primary_key=True),
)

project_endpoint_group = Table(
    "identity_project_endpoint_group",
    metadata,
    Column("project_id", String(64), ForeignKey("identity_project.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "endpoint_group_id",
        String(64),
        ForeignKey("identity_endpoint_group.id", ondelete="CASCADE"),
        primary_key=True,
    ),
)

stored_policy = Table(
    "identity_stored_policy",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("type", String(255), nullable=False),
    Column("blob", Text, nullable=False),
    Column("extra", Json, nullable=False),
)

policy_association = Table(
    "identity_policy_association",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("policy_id", String(64), ForeignKey("identity_stored_policy.id", ondelete="CASCADE"), nullable=False),
    Column("endpoint_id", String(64), ForeignKey("identity_endpoint.id", ondelete="CASCADE")),
    Column("service_id", String(64), ForeignKey("identity_service.id", ondelete="CASCADE")),
    Column("region_id", String(255), ForeignKey("identity_region.id", ondelete="CASCADE")),
    Index("identity_policy_association_policy", "policy_id"),
)

consumer = Table(
    "identity_consumer",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("description", Text),
    Column("extra", Json, nullable=False),
)

request_token = Table(
    "identity_request_token",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("consumer_id", String(64), ForeignKey("identity_consumer.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", String(64), ForeignKey("identity_project.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", String(64)),
    Column("role_ids", Json),
    Column("verifier", String(64)),
    Column("expires_at", DateTime),
)

access_token = Table(
    "identity_access_token",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("consumer_id", String(64), ForeignKey("identity_consumer.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", String(64), ForeignKey("identity_project.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("role_ids", Json, nullable=False),
    Column("expires_at", DateTime),
    Index("identity_access_token_user", "user_id"),
)
