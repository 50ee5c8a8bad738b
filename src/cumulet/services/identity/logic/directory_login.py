# SPDX-License-Identifier: Apache-2.0
"""Logging in with a password that a directory judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.services.identity.logic import directories, directory_mirror, passwords
from cumulet.services.identity.logic.refusals import refused
from cumulet.services.identity.store import directory_entries, projects
from cumulet.services.identity.types import User


def domain_of(cloud: Cloud, words: Mapping[str, Any], user: User | None) -> str | None:
    """The domain of `{"id": ...}` or `{"name": ..., "domain": ...}`, where it has a directory."""
    domain_id = user.domain_id if user is not None else None
    domain = words.get("domain")
    if domain_id is None and isinstance(domain, Mapping):
        if domain.get("name"):
            found = projects.find_by_name(cloud.db, str(domain["name"]), None)
        else:
            found = projects.find(cloud.db, str(domain.get("id")))
        domain_id = found.id if found is not None and found.enabled else None
    return domain_id if domain_id is not None and directories.is_outside(cloud.db, domain_id) else None


def prove(cloud: Cloud, domain_id: str, words: Mapping[str, Any], user: User | None) -> User:
    """The user whose password this is in the domain's directory; Unauthorized for all else."""
    directory = directories.of(cloud, domain_id)
    secret = words.get("password")
    if directory is None or not isinstance(secret, str) or len(secret) > passwords.LONGEST:
        raise refused()
    if words.get("name"):
        found = directory.user_named(str(words["name"]))
        local_id = found.local_id if found is not None else ""
    else:
        entry = directory_entries.find(cloud.db, user.id) if user is not None else None
        local_id = entry.local_id if entry is not None else ""
    if not directory.authenticate(local_id, secret):
        raise refused()
    now = directory_mirror.take_over_user(cloud, domain_id, directory, local_id, used=True)
    if now is None or not now.enabled:
        raise refused()
    return now
