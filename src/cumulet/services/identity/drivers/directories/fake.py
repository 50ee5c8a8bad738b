# SPDX-License-Identifier: Apache-2.0
"""A directory in memory, complete: for tests, and for trying out how directories are used."""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.services.identity.drivers.directories.base import DirectoryAway, DirectoryGroup, DirectoryUser


class FakeDirectory:
    """`base.Directory`; its owner fills it and may say that it is `away`."""

    def __init__(self) -> None:
        self.people: dict[str, DirectoryUser] = {}
        self.passwords: dict[str, str] = {}
        self.teams: dict[str, DirectoryGroup] = {}
        self.membership: dict[str, list[str]] = {}
        self.away = False
        self.asked = 0

    def add_user(self, user: DirectoryUser, password: str) -> None:
        self.people[user.local_id] = user
        self.passwords[user.local_id] = password

    def add_group(self, group: DirectoryGroup, members: Iterable[str]) -> None:
        self.teams[group.local_id] = group
        self.membership[group.local_id] = list(members)

    def user(self, local_id: str) -> DirectoryUser | None:
        self._answer()
        return self.people.get(local_id)

    def user_named(self, name: str) -> DirectoryUser | None:
        return next((user for user in self.users() if user.name.lower() == name.lower()), None)

    def users(self) -> list[DirectoryUser]:
        self._answer()
        return [self.people[local_id] for local_id in sorted(self.people)]

    def users_with(self, local_ids: Iterable[str]) -> list[DirectoryUser]:
        wanted = set(local_ids)
        return [user for user in self.users() if user.local_id in wanted]

    def group(self, local_id: str) -> DirectoryGroup | None:
        self._answer()
        return self.teams.get(local_id)

    def groups(self) -> list[DirectoryGroup]:
        self._answer()
        return [self.teams[local_id] for local_id in sorted(self.teams)]

    def members(self, local_id: str) -> list[str]:
        self._answer()
        return [one for one in self.membership.get(local_id, ()) if one in self.people]

    def groups_of(self, local_id: str) -> list[DirectoryGroup]:
        return [group for group in self.groups() if local_id in self.members(group.local_id)]

    def authenticate(self, local_id: str, password: str) -> bool:
        self._answer()
        return bool(password) and self.passwords.get(local_id) == password

    def close(self) -> None:
        self.away = True

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise DirectoryAway
