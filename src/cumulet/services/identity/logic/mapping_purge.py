# SPDX-License-Identifier: Apache-2.0
"""Forgetting users and groups of outside directories, who are known anew when they are next seen there.

They have the same ids again then, and with them the roles that they were given.
"""

from __future__ import annotations

from cumulet.kernel.db import Database, Tx
from cumulet.kernel.errors import NotFound
from cumulet.services.identity.logic import directory_mirror
from cumulet.services.identity.store import directory_entries, projects


def purge(
    db: Database, *, domain_name: str | None = None, public_id: str | None = None, local_id: str | None = None,
    kind: str | None = None,
) -> int:  # fmt: skip
    """Forget the entries that fit all that is said, `kind` being user or group; how many. NotFound for the domain."""

    def write(tx: Tx) -> int:
        wanted = {"id": public_id, "local_id": local_id, "kind": kind}
        if domain_name is not None:
            domain = projects.find_by_name(tx, domain_name, None)
            if domain is None:
                raise NotFound(f"Could not find domain: {domain_name}.")
            wanted["domain_id"] = domain.id
        found = directory_entries.find_all(tx, **{name: value for name, value in wanted.items() if value is not None})
        for entry in found:
            directory_mirror.forget(tx, entry.kind, [entry.id])
        return len(found)

    return db.write(write)
