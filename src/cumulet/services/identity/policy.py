# SPDX-License-Identifier: Apache-2.0
"""The default rules of the identity service: Keystone's names, defaults and scopes (release 2026.2).

`SCOPES` are Keystone's `scope_types`: which tokens a rule takes at all.
"""

from __future__ import annotations

ADMIN = "rule:admin_required"
SYSTEM_READER = "(role:reader and system_scope:all)"
READS = f"{ADMIN} or {SYSTEM_READER}"

_PROJECT_READER = (
    f"{READS} or (role:reader and domain_id:%(target.project.domain_id)s and not None:%(target.project.domain_id)s)"
    " or project_id:%(target.project.id)s"
)
_PROJECT_MANAGER = (
    f"{ADMIN} or (role:manager and domain_id:%(target.project.domain_id)s and not None:%(target.project.domain_id)s)"
)
_USER_MANAGER = f"{ADMIN} or (role:manager and token.domain.id:%(target.user.domain_id)s)"
_CREDENTIAL_OWNER = "user_id:%(target.credential.user_id)s"


def _within(role: str) -> str:
    """A holder of `role` on a domain, where the actor and the target of a grant are both in that domain."""
    return "({})".format(
        " or ".join(
            f"(role:{role} and domain_id:%(target.{actor}.domain_id)s and domain_id:%(target.{target})s)"
            for actor in ("user", "group")
            for target in ("project.domain_id", "domain.id")
        )
    )


_OWN_OR_GLOBAL_ROLE = "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)"
_GRANT = (
    f"{ADMIN} or {_within('admin')} and {_OWN_OR_GLOBAL_ROLE}"
    f" or {_within('manager')} and rule:domain_managed_target_role"
)
_GROUP_MANAGER = f"{ADMIN} or (role:manager and domain_id:%(target.group.domain_id)s)"
_GROUP_READER = f"{READS} or (role:reader and domain_id:%(target.group.domain_id)s)"
_BOTH_IN_DOMAIN = "domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s"
_ASSIGNMENT_READER = f"{READS} or (role:reader and domain_id:%(target.domain_id)s and not None:%(target.domain_id)s)"

_BASE = {
    "admin_required": "role:admin or is_admin:1",
    "service_role": "role:service",
    "service_or_admin": "rule:admin_required or rule:service_role",
    "owner": "user_id:%(user_id)s",
    "admin_or_owner": "rule:admin_required or rule:owner",
    "token_subject": "user_id:%(target.token.user_id)s",
    "domain_managed_target_role": " or ".join(
        f"'{name}':%(target.role.name)s" for name in ("manager", "member", "reader")
    ),
    "identity:get_auth_catalog": "",
    "identity:get_auth_projects": "",
    "identity:get_auth_domains": "",
    "identity:get_auth_system": "",
}

_IN_ANY_SCOPE = {
    "identity:check_token": f"{READS} or rule:token_subject",
    "identity:validate_token": f"{READS} or rule:service_role or rule:token_subject",
    "identity:revoke_token": f"{ADMIN} or rule:token_subject",
    "identity:revoke_tokens_for_user": "rule:admin_or_owner",
    "identity:get_region": "",
    "identity:list_regions": "",
    "identity:get_domain": f"{READS} or token.domain.id:%(target.domain.id)s"
    " or token.project.domain.id:%(target.domain.id)s",
    "identity:list_domains": f"{READS} or (role:reader and domain_id:%(target.domain.id)s)",
    "identity:get_project": _PROJECT_READER,
    "identity:list_projects": f"{READS} or (role:reader and domain_id:%(target.domain_id)s)",
    "identity:list_user_projects": f"{READS} or (role:reader and domain_id:%(target.user.domain_id)s)"
    " or user_id:%(target.user.id)s",
    "identity:create_project": _PROJECT_MANAGER,
    "identity:update_project": _PROJECT_MANAGER,
    "identity:delete_project": _PROJECT_MANAGER,
    "identity:list_project_tags": _PROJECT_READER,
    "identity:get_project_tag": _PROJECT_READER,
    "identity:update_project_tags": _PROJECT_MANAGER,
    "identity:create_project_tag": _PROJECT_MANAGER,
    "identity:delete_project_tags": _PROJECT_MANAGER,
    "identity:delete_project_tag": _PROJECT_MANAGER,
    "identity:get_user": f"{READS} or (role:reader and token.domain.id:%(target.user.domain_id)s)"
    " or user_id:%(target.user.id)s",
    "identity:list_users": f"{READS} or (role:reader and domain_id:%(target.domain_id)s)",
    "identity:create_user": _USER_MANAGER,
    "identity:update_user": _USER_MANAGER,
    "identity:delete_user": _USER_MANAGER,
    "identity:get_group": _GROUP_READER,
    "identity:list_groups": _GROUP_READER,
    "identity:list_groups_for_user": f"{READS} or (role:reader and domain_id:%(target.user.domain_id)s)"
    " or user_id:%(user_id)s",
    "identity:create_group": _GROUP_MANAGER,
    "identity:update_group": _GROUP_MANAGER,
    "identity:delete_group": _GROUP_MANAGER,
    "identity:list_users_in_group": _GROUP_READER,
    "identity:check_user_in_group": f"{READS} or (role:reader and {_BOTH_IN_DOMAIN})",
    "identity:add_user_to_group": f"{ADMIN} or (role:manager and {_BOTH_IN_DOMAIN})",
    "identity:remove_user_from_group": f"{ADMIN} or (role:manager and {_BOTH_IN_DOMAIN})",
    "identity:get_role": f"{READS} or (role:manager and rule:domain_managed_target_role)",
    "identity:list_roles": f"{READS} or (role:manager and not domain_id:None)",
    "identity:check_grant": f"{READS} or {_within('reader')} and {_OWN_OR_GLOBAL_ROLE}",
    "identity:list_grants": f"{ADMIN} or {SYSTEM_READER} or {_within('reader')}",
    "identity:create_grant": _GRANT,
    "identity:revoke_grant": _GRANT,
    "identity:list_role_assignments": _ASSIGNMENT_READER,
    "identity:list_role_assignments_for_tree": _ASSIGNMENT_READER,
    "identity:get_credential": f"{READS} or {_CREDENTIAL_OWNER}",
    "identity:list_credentials": f"{READS} or {_CREDENTIAL_OWNER}",
    "identity:create_credential": f"{ADMIN} or {_CREDENTIAL_OWNER}",
    "identity:update_credential": f"{ADMIN} or {_CREDENTIAL_OWNER}",
    "identity:delete_credential": f"{ADMIN} or {_CREDENTIAL_OWNER}",
    "identity:get_registered_limit": "",
    "identity:list_registered_limits": "",
    "identity:get_limit_model": "",
    "identity:ec2tokens_validate": "rule:service_or_admin",
    "identity:s3tokens_validate": "rule:service_or_admin",
    "identity:get_limit": f"{READS} or (domain_id:%(target.limit.domain.id)s"
    " or domain_id:%(target.limit.project.domain_id)s)"
    " or (project_id:%(target.limit.project_id)s and not None:%(target.limit.project_id)s)",
    "identity:list_limits": "",
    "identity:get_security_compliance_domain_config": "",
}

_NOT_IN_DOMAIN_SCOPE = {
    **{
        f"identity:{verb}_{noun}": ADMIN
        for verb in ("create", "update", "delete")
        for noun in ("region", "domain", "role", "domain_role", "service", "endpoint")
    },
    **{
        f"identity:{rule}": READS
        for rule in (
            "get_domain_role",
            "list_domain_roles",
            "get_service",
            "list_services",
            "get_endpoint",
            "list_endpoints",
            "get_implied_role",
            "list_implied_roles",
            "check_implied_role",
            "list_role_inference_rules",
        )
    },
    **{
        f"identity:{verb}_system_grant{plural}_for_{actor}": rule
        for verb, plural, rule in (
            ("list", "s", READS),
            ("check", "", READS),
            ("create", "", ADMIN),
            ("revoke", "", ADMIN),
        )
        for actor in ("user", "group")
    },
    "identity:create_implied_role": ADMIN,
    "identity:delete_implied_role": ADMIN,
    "identity:get_application_credential": f"{READS} or rule:owner",
    "identity:list_application_credentials": f"{READS} or rule:owner",
    "identity:delete_application_credential": "rule:admin_or_owner",
    "identity:list_revoke_events": "rule:service_or_admin",
    "identity:create_registered_limits": ADMIN,
    "identity:update_registered_limit": ADMIN,
    "identity:delete_registered_limit": ADMIN,
    "identity:create_limits": ADMIN,
    "identity:update_limit": ADMIN,
    "identity:delete_limit": ADMIN,
    "identity:create_domain_config": ADMIN,
    "identity:update_domain_config": ADMIN,
    "identity:delete_domain_config": ADMIN,
    "identity:get_domain_config": READS,
    "identity:get_domain_config_default": READS,
}

_EXTENSIONS = {
    **{
        f"identity:{verb}_{noun}": ADMIN
        for verb in ("create", "update", "delete")
        for noun in ("endpoint_group", "policy", "consumer")
    },
    **{
        f"identity:{verb}_{noun}": READS
        for verb, noun in (
            ("get", "endpoint_group"),
            ("list", "endpoint_groups"),
            ("get", "policy"),
            ("list", "policies"),
            ("get", "consumer"),
            ("list", "consumers"),
        )
    },
    "identity:add_endpoint_to_project": ADMIN,
    "identity:remove_endpoint_from_project": ADMIN,
    "identity:check_endpoint_in_project": READS,
    "identity:list_endpoints_for_project": READS,
    "identity:list_projects_for_endpoint": READS,
    "identity:add_endpoint_group_to_project": ADMIN,
    "identity:remove_endpoint_group_from_project": ADMIN,
    "identity:get_endpoint_group_in_project": READS,
    "identity:list_endpoint_groups_for_project": READS,
    "identity:list_projects_associated_with_endpoint_group": READS,
    "identity:list_endpoints_associated_with_endpoint_group": READS,
    **{
        f"identity:{verb}_policy_association_for_{place}": rule
        for verb, rule in (("create", ADMIN), ("delete", ADMIN), ("check", READS))
        for place in ("endpoint", "service", "region_and_service")
    },
    "identity:get_policy_for_endpoint": READS,
    "identity:list_endpoints_for_policy": READS,
    "identity:ec2_get_credential": f"{READS} or {_CREDENTIAL_OWNER}",
    "identity:ec2_list_credentials": f"{READS} or rule:owner",
    "identity:ec2_create_credential": f"{ADMIN} or (role:member and {_CREDENTIAL_OWNER})",
    "identity:ec2_delete_credential": f"{ADMIN} or (role:member and {_CREDENTIAL_OWNER})",
}

# Identity providers, their protocols, mappings and service providers.
_NOT_IN_DOMAIN_SCOPE |= {
    f"identity:{verb}_{noun}{plural}": rule
    for noun in ("identity_provider", "protocol", "mapping", "service_provider")
    for verb, plural, rule in (
        ("create", "", ADMIN),
        ("update", "", ADMIN),
        ("delete", "", ADMIN),
        ("get", "", READS),
        ("list", "s", READS),
    )
}

_TRUSTOR = "user_id:%(target.trust.trustor_user_id)s"
_TRUSTEE = "user_id:%(target.trust.trustee_user_id)s"
_EITHER = f"({ADMIN}) or ({SYSTEM_READER} or {_TRUSTOR} or {_TRUSTEE})"
_NOT_IN_DOMAIN_SCOPE |= {
    "identity:list_trusts": READS,
    "identity:list_trusts_for_trustor": f"({ADMIN}) or ({SYSTEM_READER} or {_TRUSTOR})",
    "identity:list_trusts_for_trustee": f"({ADMIN}) or ({SYSTEM_READER} or {_TRUSTEE})",
    "identity:get_trust": _EITHER,
    "identity:delete_trust": f"{ADMIN} or {_TRUSTOR}",
    "identity:list_roles_for_trust": _EITHER,
    "identity:get_role_for_trust": _EITHER,
    **{
        f"identity:{verb}": f"({role} and system_scope:all) or user_id:%(target.user.id)s"
        for verb, role in (
            ("list_access_rules", "role:reader"),
            ("get_access_rule", "role:reader"),
            ("delete_access_rule", "role:admin"),
        )
    },
}

_IN_PROJECT_SCOPE = {
    "identity:create_trust": _TRUSTOR,
    "identity:create_application_credential": "user_id:%(user_id)s",
    **{
        f"identity:{rule}": ADMIN
        for rule in (
            "authorize_request_token",
            "get_access_token",
            "list_access_tokens",
            "delete_access_token",
            "list_access_token_roles",
            "get_access_token_role",
        )
    },
}

RULES = {**_BASE, **_IN_ANY_SCOPE, **_NOT_IN_DOMAIN_SCOPE, **_EXTENSIONS, **_IN_PROJECT_SCOPE}

SCOPES = {
    **dict.fromkeys(_NOT_IN_DOMAIN_SCOPE, ("system", "project")),
    **dict.fromkeys(_EXTENSIONS, ("system", "project")),
    **dict.fromkeys(_IN_PROJECT_SCOPE, ("project",)),
}
