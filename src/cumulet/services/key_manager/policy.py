# SPDX-License-Identifier: Apache-2.0
"""The default rules of the key manager: Barbican's names, new defaults and scopes (release 2026.2).

`True:%(enforce_new_defaults)s` stands in each upstream, so that an operator's file may refer to it; here it is always
true (`api/targets.py`). The rules that only the former defaults use are there for files that still name them.
"""

from __future__ import annotations

_NEW = "True:%(enforce_new_defaults)s"
_MEMBER, _READER, _ADMIN = (f"{_NEW} and role:{role}" for role in ("member", "reader", "admin"))


def _either(noun: str, *others: str) -> str:
    """The project's administrator, members where it is their own or not private, and `others`."""
    mine = [
        f"rule:{noun}_project_admin",
        f"(rule:{noun}_project_member and rule:{noun}_owner)",
        f"(rule:{noun}_project_member and rule:{noun}_is_not_private)",
    ]
    return f"{_NEW} and ({' or '.join((*mine, *others))})"


def _about(noun: str) -> dict[str, str]:
    target = f"target.{noun}"
    return {
        f"{noun}_project_match": f"project_id:%({target}.project_id)s",
        f"{noun}_project_member": f"role:member and rule:{noun}_project_match",
        f"{noun}_project_admin": f"role:admin and rule:{noun}_project_match",
        f"{noun}_owner": f"user_id:%({target}.creator_id)s",
        f"{noun}_is_not_private": f"True:%({target}.read_project_access)s",
        f"{noun}_acl_read": f"'read':%({target}.read)s",
        f"{noun}_private_read": f"'False':%({target}.read_project_access)s",
        f"{noun}_creator_user": f"user_id:%({target}.creator_id)s",
        f"{noun}_non_private_read": f"rule:all_users and rule:{noun}_project_match and not rule:{noun}_private_read",
        f"{noun}_project_creator": f"rule:creator and rule:{noun}_project_match and rule:{noun}_creator_user",
        f"{noun}_project_creator_role": f"rule:creator and rule:{noun}_project_match",
    }


_SECRET, _CONTAINER = _either("secret"), _either("container")
_SECRET_LISTED = _either("secret", "rule:secret_acl_read")
_CONTAINER_LISTED = _either("container", "rule:container_acl_read")
_ORDER = f"{_NEW} and rule:order_project_member"

_PARTS = {
    **_about("secret"),
    "secret_project_reader": "role:reader and rule:secret_project_match",
    "secret_decrypt_non_private_read": (
        "rule:all_but_audit and rule:secret_project_match and not rule:secret_private_read"
    ),
    **_about("container"),
    "order_project_match": "project_id:%(target.order.project_id)s",
    "order_project_member": "role:member and rule:order_project_match",
    "audit": "role:audit",
    "observer": "role:observer",
    "creator": "role:creator",
    "admin": "role:admin",
    "service_admin": "role:key-manager:service-admin",
    "all_users": "rule:admin or rule:observer or rule:creator or rule:audit or rule:service_admin",
    "all_but_audit": "rule:admin or rule:observer or rule:creator",
    "admin_or_creator": "rule:admin or rule:creator",
}

_RULES = {
    "secrets:post": _MEMBER,
    "secrets:get": _MEMBER,
    "secret:get": _SECRET_LISTED.replace("(rule", "(role:admin or rule", 1),
    "secret:decrypt": _SECRET_LISTED,
    "secret:put": _SECRET,
    "secret:delete": _SECRET.replace("(rule", "(role:admin or rule", 1),
    "secret_meta:get": _SECRET_LISTED,
    "secret_meta:post": _SECRET,
    "secret_meta:put": _SECRET,
    "secret_meta:delete": _SECRET,
    "secret_acls:get": _SECRET,
    "secret_acls:put_patch": _SECRET,
    "secret_acls:delete": _SECRET,
    "secret_consumers:get": _SECRET_LISTED,
    "secret_consumers:post": _SECRET_LISTED,
    "secret_consumers:delete": _SECRET_LISTED,
    "containers:post": _MEMBER,
    "containers:get": _MEMBER,
    "container:get": _CONTAINER_LISTED,
    "container:delete": _CONTAINER,
    "container_secret:post": _CONTAINER,
    "container_secret:delete": _CONTAINER,
    "container_acls:get": _CONTAINER,
    "container_acls:put_patch": _CONTAINER,
    "container_acls:delete": _CONTAINER,
    "container_consumers:get": _CONTAINER_LISTED,
    "container_consumers:post": _CONTAINER_LISTED,
    "container_consumers:delete": _CONTAINER_LISTED,
    "consumer:get": _CONTAINER_LISTED.replace("rule:container_project_admin", "role:admin", 1),
    "orders:get": _MEMBER,
    "orders:post": _MEMBER,
    "orders:put": _MEMBER,
    "order:get": _ORDER,
    "order:delete": _ORDER,
    "quotas:get": _READER,
    "project_quotas:get": _ADMIN,
    "project_quotas:put": _ADMIN,
    "project_quotas:delete": _ADMIN,
    "secretstores:get": _READER,
    "secretstores:get_global_default": _READER,
    "secretstores:get_preferred": _READER,
    "secretstore:get": _READER,
    "secretstore_preferred:post": _ADMIN,
    "secretstore_preferred:delete": _ADMIN,
    "transport_keys:get": _READER,
    "transport_keys:post": _ADMIN,
    "transport_key:get": _READER,
    "transport_key:delete": _ADMIN,
}

RULES = {**_PARTS, **_RULES}

SCOPES = dict.fromkeys(_RULES, ("project",))
