# SPDX-License-Identifier: Apache-2.0
"""Users and groups of an LDAP server, read as the `[ldap]` options of Keystone say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from cumulet.services.identity.drivers.directories.base import DirectoryGroup, DirectoryUser
from cumulet.services.identity.drivers.directories.ldap_wire import (
    Entry,
    Wire,
    escape_filter_chars,
    parse_dn,
    safe_rdn,
)

_ESCAPED = re.compile(r"\\([0-9A-Fa-f]{2}|.)")
FEW = 50  # entries that are asked for by name in one search


class Kind:
    """Where entries of one kind (`user` or `group`) are, and which of their attributes mean what."""

    def __init__(self, config: Mapping[str, Any], kind: str, unit: str, names: Mapping[str, str]) -> None:
        self.tree = config[f"{kind}_tree_dn"] or f"{unit},{config['suffix']}"
        self.id = str(config[f"{kind}_id_attribute"]).lower()
        ignored = set(config[f"{kind}_attribute_ignore"])
        mapped = {name: config[f"{kind}_{option}_attribute"] for name, option in names.items() if name not in ignored}
        self.attributes = {name: str(attribute).lower() for name, attribute in mapped.items() if attribute}
        pairs = (one.partition(":") for one in config[f"{kind}_additional_attribute_mapping"])
        self.extra = {name: attribute.lower() for attribute, _, name in pairs if name and name not in ignored}
        self.ignored = ignored
        self._always = f"(objectClass={escape_filter_chars(config[f'{kind}_objectclass'])})"
        self._filter = config[f"{kind}_filter"] or ""

    @property
    def wanted(self) -> list[str]:
        return sorted({self.id, *self.attributes.values(), *self.extra.values()})

    def words(self, condition: str = "") -> str:
        """The filter for entries of this kind that meet a condition."""
        return f"(&{self._always}{self._filter}({self.id}=*){condition})"

    def local_id(self, entry: Entry) -> str | None:
        """The one value of the attribute that ids are in; of several, the one in the entry's own name."""
        dn, values = entry
        found = values.get(self.id, [])
        if len(found) == 1:
            return _text(found[0])
        return self.local_id_in(dn)

    def local_id_in(self, dn: str) -> str | None:
        """The id in a distinguished name; None where another attribute stands there."""
        for attribute, value in _first(dn):
            if attribute.lower() == self.id:
                return value
        return None

    def shown(self, entry: Entry) -> tuple[dict[str, str], dict[str, str]]:
        """The attributes that are known, and the others that are shown."""
        values = {name: _text(found[0]) for name, found in entry[1].items() if found}
        known = {name: values[attribute] or "" for name, attribute in self.attributes.items() if values.get(attribute)}
        return known, {name: values[attribute] or "" for name, attribute in self.extra.items() if values.get(attribute)}


class LdapDirectory:
    """`base.Directory` of an LDAP server. `config` has every `[ldap]` option (`logic.domain_options`), in its type."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._wire = Wire(config)
        names = {"name": "name", "email": "mail", "description": "description"}
        if config["user_default_project_id_attribute"]:
            names["default_project_id"] = "default_project_id"
        emulated = config["user_enabled_emulation"]
        self._users = Kind(config, "user", "ou=Users", names if emulated else {**names, "enabled": "enabled"})
        self._groups = Kind(config, "group", "ou=UserGroups", {"name": "name", "description": "desc"})
        self._scope = config["query_scope"]

    def user(self, local_id: str) -> DirectoryUser | None:
        return self._user(self._find(self._users, self._users.id, local_id))

    def user_named(self, name: str) -> DirectoryUser | None:
        return self._user(self._find(self._users, self._users.attributes["name"], name))

    def users(self) -> list[DirectoryUser]:
        return self._to_users(self._search(self._users))

    def users_with(self, local_ids: Iterable[str]) -> list[DirectoryUser]:
        found: list[Entry] = []
        rest = iter(dict.fromkeys(local_ids))
        while some := list(islice(rest, FEW)):
            words = "".join(_equal(self._users.id, local_id) for local_id in some)
            found += self._search(self._users, f"(|{words})")
        return self._to_users(found)

    def group(self, local_id: str) -> DirectoryGroup | None:
        entry = self._find(self._groups, self._groups.id, local_id)
        return next(iter(self._to_groups([entry])), None) if entry is not None else None

    def groups(self) -> list[DirectoryGroup]:
        return self._to_groups(self._search(self._groups))

    def members(self, local_id: str) -> list[str]:
        entry = self._find(self._groups, self._groups.id, local_id)
        if entry is None:
            return []
        said = self._values(entry[0], self._config["group_member_attribute"])
        if not self._config["group_members_are_ids"]:
            said = [found for found in map(self._user_id, said) if found is not None]
        return [user.local_id for user in self.users_with(said)]

    def groups_of(self, local_id: str) -> list[DirectoryGroup]:
        member: str | None = local_id
        if not self._config["group_members_are_ids"]:
            entry = self._find(self._users, self._users.id, local_id)
            member = entry[0] if entry is not None else None
        if member is None:
            return []
        return self._to_groups(self._search(self._groups, _equal(self._config["group_member_attribute"], member)))

    def authenticate(self, local_id: str, password: str) -> bool:
        entry = self._find(self._users, self._users.id, local_id)
        dn = entry[0] if entry is not None else f"{self._users.id}=nobody,{self._users.tree}"
        return self._wire.binds(dn, password) and entry is not None

    def close(self) -> None:
        self._wire.close()

    def _find(self, kind: Kind, attribute: str, value: str) -> Entry | None:
        return next(iter(self._search(kind, _equal(attribute, value))), None)

    def _search(self, kind: Kind, condition: str = "") -> list[Entry]:
        return self._wire.search(kind.tree, self._scope, kind.words(condition), kind.wanted)

    def _values(self, dn: str, attribute: str) -> list[str]:
        """All values of one attribute of one entry."""
        found = self._wire.search(dn, "base", "(objectClass=*)", [attribute])
        texts = (_text(value) for _, values in found for value in values.get(attribute.lower(), []))
        return [text for text in texts if text is not None]

    def _user_id(self, dn: str) -> str | None:
        """The id of the user of this name, who need not be there."""
        local_id = self._users.local_id_in(dn)
        return local_id if local_id is not None else next(iter(self._values(dn, self._users.id)), None)

    def _user(self, entry: Entry | None) -> DirectoryUser | None:
        return next(iter(self._to_users([entry])), None) if entry is not None else None

    def _to_users(self, entries: Sequence[Entry]) -> list[DirectoryUser]:
        enabled = self._emulated(entries)
        users = []
        for entry in entries:
            local_id = self._users.local_id(entry)
            known, extra = self._users.shown(entry)
            if local_id is None or not known.get("name", "").strip():
                continue
            is_enabled = enabled[entry[0]] if entry[0] in enabled else self._is_enabled(known.pop("enabled", None))
            users.append(DirectoryUser(local_id=local_id, enabled=is_enabled, extra=extra, **known))
        return sorted(users, key=lambda user: user.local_id)

    def _to_groups(self, entries: Iterable[Entry]) -> list[DirectoryGroup]:
        groups = []
        for entry in entries:
            local_id = self._groups.local_id(entry)
            known, extra = self._groups.shown(entry)
            if local_id is not None and known.get("name", "").strip():
                groups.append(DirectoryGroup(local_id=local_id, extra=extra, **known))
        return sorted(groups, key=lambda group: group.local_id)

    def _is_enabled(self, said: str | None) -> bool:
        """What the attribute of a user, or its default, says: a bit of a number, or a word."""
        config = self._config
        if "enabled" in self._users.ignored:
            return True
        value = said if said is not None else str(config["user_enabled_default"])
        mask = int(config["user_enabled_mask"] or 0)
        if mask:
            number = int(value) if value.lstrip("-").isdigit() else 0
            return number & mask != mask
        return (value.strip().lower() == "true") != bool(config["user_enabled_invert"])

    def _emulated(self, entries: Sequence[Entry]) -> dict[str, bool]:
        """By their names, which users are in the group of those who are enabled; empty where none says so."""
        config = self._config
        if not config["user_enabled_emulation"] or "enabled" in self._users.ignored or not entries:
            return {}
        by_config = config["user_enabled_emulation_use_group_config"]
        attribute = config["group_member_attribute"] if by_config else "member"
        dn = config["user_enabled_emulation_dn"] or f"cn=enabled_users,{self._users.tree}"
        members = self._values(dn, attribute)
        if by_config and config["group_members_are_ids"]:
            return {entry[0]: self._users.local_id(entry) in members for entry in entries}
        names = {_comparable(member) for member in members}
        return {entry[0]: _comparable(entry[0]) in names for entry in entries}


def _equal(attribute: str, value: str) -> str:
    return f"({attribute}={escape_filter_chars(value)})"


def _text(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _first(dn: str) -> list[tuple[str, str]]:
    """The attributes and values that a name begins with."""
    return [(part[0], _ESCAPED.sub(_unescape, part[1])) for part in safe_rdn(dn, decompose=True)]


def _unescape(match: re.Match[str]) -> str:
    said = match.group(1)
    return said if len(said) == 1 else chr(int(said, 16))


def _comparable(dn: str) -> tuple[tuple[str, str], ...]:
    return tuple((part[0].lower(), _ESCAPED.sub(_unescape, part[1]).lower()) for part in parse_dn(dn, strip=True))
