# SPDX-License-Identifier: Apache-2.0
"""Passes: what services of the cloud itself show the object store, as others show a token.

A pass is sealed, not stored, good for an hour or so, and for one project's account alone. It is no token: nothing but
the object store's question (`contract.ObjectStoreAuth`) opens it, so that it is of no use at any other door.
"""

from __future__ import annotations

import base64
import os

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Conflict, Unauthorized
from cumulet.services.identity.contract import Allowed, Holder, Pass
from cumulet.services.identity.logic import catalog
from cumulet.services.identity.store import projects

SECRET = "identity.passes"  # noqa: S105  a name in the vault
PREFIX = "pass."  # no token begins so
METHODS = ("GET", "HEAD", "PUT", "DELETE")
OBJECT_STORE = "object-store"


class _Said(msgspec.Struct, frozen=True):
    user_id: str
    project_id: str
    domain_id: str
    account: str
    roles: tuple[str, ...]
    service_roles: tuple[str, ...]
    ends: float


class Passes:
    """`contract.ObjectStorePasses`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def issue(self, source: Source, service: str, project_id: str, life: float) -> Pass:
        url = _url(source, project_id)
        if url is None:
            raise Conflict("This cloud has no object store.")
        account = url.rstrip("/").rpartition("/")[2]
        chosen = self._cloud.settings.object_store.prefixes
        names = {(f"{each.prefix}_" if each.prefix else "") + project_id: each for each in chosen}
        counts = names.get(account)
        if counts is None or not counts.operator_roles:
            raise Conflict(f"Nobody may put anything into the account {account}.")
        # Any of them will do, but none that would be more than an operator.
        reseller = self._cloud.settings.object_store.reseller_admin_role.lower()
        role = min((each.lower() for each in counts.operator_roles), key=lambda each: each == reseller)
        project = projects.find(source, project_id)
        said = _Said(
            user_id=service,
            project_id=project_id,
            domain_id=(project.domain_id or project.id) if project is not None else "",
            account=account,
            roles=(role,),
            service_roles=tuple(role.lower() for role in counts.service_roles),
            ends=clock.now() + life,
        )
        return Pass(url=url, token=PREFIX + _fernet(self._cloud).encrypt(msgspec.json.encode(said)).decode("ascii"))


def is_one(text: str) -> bool:
    """Whether it claims to be a pass."""
    return text.startswith(PREFIX)


def read(cloud: Cloud, text: str) -> Holder:
    """Whom it stands for, and what it is good for; Unauthorized for one that is not ours, or has ended."""
    try:
        plain = _fernet(cloud).decrypt(text.removeprefix(PREFIX).encode("ascii"))
        said = msgspec.json.decode(plain, type=_Said)
    except (InvalidToken, msgspec.MsgspecError, UnicodeEncodeError):
        raise Unauthorized("Could not recognize the pass") from None
    if said.ends <= clock.now():
        raise Unauthorized("The pass has ended.")
    path = f"/v1/{said.account}/**"
    return Holder(
        user_id=said.user_id,
        user_name=said.user_id,
        user_domain_id="",
        project_id=said.project_id,
        project_domain_id=said.domain_id,
        roles=said.roles,
        service_roles=said.service_roles,
        allowed=tuple(Allowed(OBJECT_STORE, method, path) for method in METHODS),
        ends=said.ends,
    )


def _url(source: Source, project_id: str) -> str | None:
    """Where the catalogue has the project's account, the way inside before the one for all."""
    for service in catalog.render(source, "", project_id):
        if service["type"] == OBJECT_STORE:
            found = {each["interface"]: str(each["url"]) for each in service["endpoints"]}
            return found.get("internal") or found.get("public")
    return None


def _fernet(cloud: Cloud) -> Fernet:
    return Fernet(cloud.vault.get_or_make(SECRET, lambda: base64.urlsafe_b64encode(os.urandom(32))))
