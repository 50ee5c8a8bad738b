# SPDX-License-Identifier: Apache-2.0
"""Which options a domain may have of its own, what they may be, and their defaults: Keystone's (release 2026.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.errors import CumuletError, Forbidden

IDENTITY, LDAP = "identity", "ldap"


class Option(msgspec.Struct, frozen=True):
    """An option: its default, and what it is (`text`, `truth`, `number`, `list`, or the words to choose from)."""

    default: Any = None
    kind: str | tuple[str, ...] = "text"
    sensitive: bool = False


_LDAP: dict[str, Option] = {
    "url": Option("ldap://localhost"),
    "user": Option(),
    "password": Option(sensitive=True),
    "suffix": Option("cn=example,cn=com"),
    "query_scope": Option("one", ("one", "sub")),
    "page_size": Option(0, "number"),
    "alias_dereferencing": Option("default", ("never", "searching", "always", "finding", "default")),
    "debug_level": Option(None, "number"),
    "chase_referrals": Option(None, "truth"),
    "user_tree_dn": Option(),
    "user_filter": Option(),
    "user_objectclass": Option("inetOrgPerson"),
    "user_id_attribute": Option("cn"),
    "user_name_attribute": Option("sn"),
    "user_mail_attribute": Option("mail"),
    "user_description_attribute": Option("description"),
    "user_pass_attribute": Option("userPassword"),
    "user_enabled_attribute": Option("enabled"),
    "user_enabled_invert": Option(False, "truth"),
    "user_enabled_mask": Option(0, "number"),
    "user_enabled_default": Option("True"),
    "user_attribute_ignore": Option(["default_project_id"], "list"),
    "user_default_project_id_attribute": Option(),
    "user_enabled_emulation": Option(False, "truth"),
    "user_enabled_emulation_dn": Option(),
    "user_enabled_emulation_use_group_config": Option(False, "truth"),
    "user_additional_attribute_mapping": Option([], "list"),
    "group_tree_dn": Option(),
    "group_filter": Option(),
    "group_objectclass": Option("groupOfNames"),
    "group_id_attribute": Option("cn"),
    "group_name_attribute": Option("ou"),
    "group_members_are_ids": Option(False, "truth"),
    "group_member_attribute": Option("member"),
    "group_desc_attribute": Option("description"),
    "group_attribute_ignore": Option([], "list"),
    "group_additional_attribute_mapping": Option([], "list"),
    "tls_cacertfile": Option(),
    "tls_cacertdir": Option(),
    "use_tls": Option(False, "truth"),
    "tls_req_cert": Option("demand", ("demand", "never", "allow")),
    "use_pool": Option(True, "truth"),
    "pool_size": Option(10, "number"),
    "pool_retry_max": Option(3, "number"),
    "pool_retry_delay": Option(0.1, "number"),
    "pool_connection_timeout": Option(-1, "number"),
    "pool_connection_lifetime": Option(600, "number"),
    "use_auth_pool": Option(True, "truth"),
    "auth_pool_size": Option(100, "number"),
    "auth_pool_connection_lifetime": Option(60, "number"),
}

OPTIONS: Mapping[str, Mapping[str, Option]] = {
    IDENTITY: {"driver": Option("sql"), "list_limit": Option(None, "number")},
    LDAP: _LDAP,
}

_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def check_known(section: str | None, name: str | None = None) -> None:
    """Refuse a section or option that no domain has of its own."""
    if section is not None and section not in OPTIONS:
        raise refusal(f"Group {section} is not supported for domain specific configurations")
    if section is not None and name is not None and name not in OPTIONS[section]:
        raise refusal(f"Option {name} in group {section} is not supported for domain specific configurations")


def check(config: Any) -> None:
    """Refuse a configuration that says nothing, or something that no domain may say."""
    if not config or not isinstance(config, dict):
        raise refusal("No options specified")
    for section, options in config.items():
        if not options or not isinstance(options, dict):
            raise refusal(f"The value of group {section} specified in the config should be a dictionary of options")
        for name, value in options.items():
            check_known(section, name)
            read(section, name, value)


def read(section: str, name: str, value: Any) -> Any:
    """The value in the option's own type: numbers, truths and lists may be said as text."""
    kind = OPTIONS[section][name].kind
    if value is None:
        return None
    try:
        return _read(kind, value)
    except (ValueError, TypeError, KeyError):
        raise refusal(f"The value of option {name} in group {section} is not valid") from None


def _read(kind: str | tuple[str, ...], value: Any) -> Any:
    if isinstance(kind, tuple):
        return kind[kind.index(value)]
    if kind == "truth":
        return value if isinstance(value, bool) else _TRUTHS[str(value).strip().lower()]
    if kind == "number":
        if isinstance(value, bool) or (isinstance(value, int) and abs(value) > 1 << 31):
            raise ValueError
        return value if isinstance(value, int | float) else int(value)
    if kind == "list":
        words = value.split(",") if isinstance(value, str) else value
        return [_text(word).strip() for word in words]
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise TypeError
    return str(value)


def refusal(reason: str) -> CumuletError:
    return Forbidden(f"Invalid domain specific configuration: {reason}.", code="InvalidDomainConfig")
