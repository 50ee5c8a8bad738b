# SPDX-License-Identifier: Apache-2.0
"""The account of the object store that images are kept in: who may use it, for some time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import NotReady
from cumulet.services.identity.contract import IdentityContract, ObjectStorePasses

if TYPE_CHECKING:
    from cumulet.kernel.blob.swift import Account

SERVICE = "image"  # whom the object store takes this service for
LIFE = 3600.0  # seconds that a pass is good for; it is used for half of them


class _Issued:
    """The accounts by projects' names, each with the time until which it is used."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.accounts: dict[str, tuple[float, Account]] = {}


def find(cloud: Cloud, project: str) -> Account:
    """That of a project of the default domain. NotReady where there is none, Conflict without an object store."""
    from cumulet.kernel.blob.swift import Account

    issued = cloud.keep(_Issued)
    with issued.lock:
        until, account = issued.accounts.get(project, (0.0, None))
        if account is None or until < clock.now():
            found = cloud.contracts.use(IdentityContract).project_named(cloud.db, project)
            if found is None:
                raise NotReady(f"There is no project {project} that images could be kept for.")
            made = cloud.contracts.use(ObjectStorePasses).issue(cloud.db, SERVICE, found.id, LIFE)
            account = Account(url=made.url, token=made.token)
            issued.accounts[project] = clock.now() + LIFE / 2, account
        return account
