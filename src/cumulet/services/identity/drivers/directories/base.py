# SPDX-License-Identifier: Apache-2.0
"""What a directory tells of users and groups. Nothing is ever written there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from cumulet.kernel.errors import NotReady


class DirectoryAway(NotReady):
    """The directory does not answer, or not in words that make sense."""

    def __init__(self) -> None:
        super().__init__("The directory of the domain is not available.", code="DirectoryAway")


class DirectoryUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user under the directory's own id; `extra` holds the other attributes that are shown."""

    local_id: str
    name: str
    enabled: bool = True
    email: str | None = None
    description: str | None = None
    default_project_id: str | None = None
    extra: Mapping[str, str] = {}


class DirectoryGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group under the directory's own id."""

    local_id: str
    name: str
    description: str | None = None
    extra: Mapping[str, str] = {}


class Directory(Protocol):
    """Every method may be called from any thread and may wait as long as PATIENCE; DirectoryAway where that is over.

    Entries without a name, and members who are no users, are left out. What is not there is None, or an empty list.
    """

    def user(self, local_id: str) -> DirectoryUser | None: ...

    def user_named(self, name: str) -> DirectoryUser | None: ...

    def users(self) -> list[DirectoryUser]:
        """All of them, ordered by id."""

    def users_with(self, local_ids: Iterable[str]) -> list[DirectoryUser]:
        """Those of these users who are there, ordered by id."""

    def group(self, local_id: str) -> DirectoryGroup | None: ...

    def groups(self) -> list[DirectoryGroup]:
        """All of them, ordered by id."""

    def members(self, local_id: str) -> list[str]:
        """The ids of the users in a group."""

    def groups_of(self, local_id: str) -> list[DirectoryGroup]:
        """The groups that a user is in, ordered by id."""

    def authenticate(self, local_id: str, password: str) -> bool:
        """Whether this is the user's password; an unknown user's never is, and takes as long."""

    def close(self) -> None:
        """Give up what is open; the directory is not asked any more."""
