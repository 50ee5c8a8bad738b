# SPDX-License-Identifier: Apache-2.0
"""Containers: named references to secrets of one project, in kinds that prescribe the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.key_manager.logic import quotas, secrets
from cumulet.services.key_manager.logic.refusals import bad_id, mismatch, no_container, unsupported_value
from cumulet.services.key_manager.store import acls
from cumulet.services.key_manager.store import containers as store
from cumulet.services.key_manager.store import secrets as secret_store
from cumulet.services.key_manager.types import Container, ContainerSecret, ContainerType, Page

QUOTA = "containers"
SCHEMA = "Container"
# What each kind of container must hold and may hold, and Barbican's two sentences of refusal.
_NAMES: Mapping[str, tuple[set[str], set[str], str, str]] = {
    ContainerType.RSA: (
        {"public_key", "private_key"},
        {"private_key_passphrase"},
        "only 'private_key', 'public_key' and 'private_key_passphrase' reference names are allowed for RSA type",
        "The minimum required reference names are 'public_key' and'private_key' for RSA type",
    ),
    ContainerType.CERTIFICATE: (
        {"certificate"},
        {"private_key", "private_key_passphrase", "intermediates"},
        (
            "only 'private_key', 'certificate' , 'private_key_passphrase',  or 'intermediates' "
            "reference names are allowed for Certificate type"
        ),
        "The minimum required reference name is 'certificate' for Certificate type",
    ),
}

Reference = tuple[str | None, str]  # name, secret's id


def get(source: Source, container_id: str) -> Container:
    """A container of whatever project: the caller's rights are a matter of policy."""
    if not secrets.is_id(container_id):
        raise bad_id("container")
    found = store.find(source, container_id)
    if found is None:
        raise no_container()
    return found


def find_all(
    cloud: Cloud, ctx: Context, name: str | None, kind: str | None, wanted: Page
) -> tuple[list[Container], int]:
    return store.find_all(cloud.db, ctx, name, kind, wanted)


def references(source: Source, found: Sequence[Container]) -> Mapping[str, list[ContainerSecret]]:
    """What several containers refer to, by the container's id."""
    return store.references_of(source, [one.id for one in found])


def create(cloud: Cloud, ctx: Context, words: Mapping[str, Any], base: str) -> Container:
    """Make a container; references must begin with `base`, this service's own address."""
    held = _references(words.get("secret_refs") or (), words["type"], base)
    now = clock.utcnow()
    new = Container(ids.new_uuid(), ctx.project_id or "", ctx.user_id, words.get("name"), words["type"], now, now)

    def write(tx: Tx) -> None:
        quotas.enforce(cloud, tx, new.project_id, QUOTA, store.count)
        known = secret_store.known(tx, [secret_id for _, secret_id in held], new.project_id, now)
        for name, secret_id in held:
            if secret_id not in known:
                raise NotFound(f"Secret provided for '{name}' doesn't exist.")
        add(tx, new, held)

    cloud.db.write(write)
    return new


def add(tx: Tx, new: Container, held: Sequence[Reference]) -> None:
    """Put a container into the database, past any quota."""
    rows = [ContainerSecret(new.id, at, secret_id, name) for at, (name, secret_id) in enumerate(held)]
    store.add(tx, new, rows)


def delete(cloud: Cloud, container_id: str) -> None:
    """Delete a container; its secrets stay."""

    def write(tx: Tx) -> None:
        acls.remove(tx, container_id)
        if not store.remove(tx, container_id):
            raise no_container()

    cloud.db.write(write)


def add_secret(cloud: Cloud, ctx: Context, container_id: str, name: str | None, ref: str) -> None:
    """Let a generic container refer to one more secret of the caller's project."""
    secret_id = id_of(ref)

    def write(tx: Tx) -> None:
        _check_generic(get(tx, container_id))
        if not secret_store.known(tx, [secret_id], ctx.project_id or "", clock.utcnow()):
            raise NotFound("Secret provided doesn't exist.")
        if _find(tx, container_id, name, secret_id):
            raise Conflict(
                "Conflict. A secret with that name and ID is already stored in this container. The same secret can "
                "exist in a container as long as the name is unique."
            )
        position = store.next_position(tx, container_id)
        store.add_reference(tx, ContainerSecret(container_id, position, secret_id, name))

    cloud.db.write(write)


def remove_secret(cloud: Cloud, ctx: Context, container_id: str, name: str | None, ref: str) -> None:
    """Let a container refer to a secret no more."""
    secret_id = id_of(ref)

    def write(tx: Tx) -> None:
        if not secret_store.known(tx, [secret_id], ctx.project_id or "", clock.utcnow()):
            raise NotFound(f"Secret '{name}' with reference '{ref}' doesn't exist.")
        found = _find(tx, container_id, name, secret_id)
        if not found:
            raise NotFound("Secret provided is not in the container")
        for one in found:
            store.remove_reference(tx, container_id, one.position)

    cloud.db.write(write)


def id_of(ref: str) -> str:
    """The id at the end of a reference, which may be the id alone."""
    return ref.rstrip("/").rpartition("/")[2]


def _find(source: Source, container_id: str, name: str | None, secret_id: str) -> list[ContainerSecret]:
    held = store.references_of(source, [container_id]).get(container_id, [])
    return [one for one in held if (one.secret_id, one.name) == (secret_id, name)]


def _check_generic(container: Container) -> None:
    if container.type != ContainerType.GENERIC:
        raise Invalid("Only 'generic' containers can be modified.")


def _references(refs: Sequence[Mapping[str, Any]], kind: str, base: str) -> list[Reference]:
    found = [(ref.get("name"), id_of(ref["secret_ref"])) for ref in refs]
    names = {name or "" for name, _ in found}
    if len(names) < len(found):
        raise mismatch(SCHEMA, "Duplicate reference names are not allowed", "secret_refs")
    if len({secret_id for _, secret_id in found}) < len(found):
        raise mismatch(SCHEMA, "Duplicate secret ids are not allowed", "secret_refs")
    if any(not ref["secret_ref"].startswith(base) for ref in refs):
        raise unsupported_value()
    if found and kind in _NAMES:
        needed, more, only, least = _NAMES[kind]
        if names - needed - more:
            raise mismatch(SCHEMA, only, "secret_refs")
        if not needed <= names:
            raise mismatch(SCHEMA, least, "secret_refs")
    return found
