# SPDX-License-Identifier: Apache-2.0
"""What can be done with the protocols of identity providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.identity.logic import federation_sources, identity_providers, revocations, users
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import federated_users
from cumulet.services.identity.store import mappings as mapping_store
from cumulet.services.identity.store import protocols as store
from cumulet.services.identity.types import Protocol


def get(source: Source, idp_id: str, protocol_id: str) -> Protocol:
    found = store.find(source, idp_id, protocol_id)
    if found is None:
        raise NotFound(
            f"Could not find federated protocol {protocol_id} for Identity Provider: {idp_id}.",
            code="FederatedProtocolNotFound",
        )
    return found


def find_all(source: Source, idp_id: str) -> list[Protocol]:
    """The protocols of a provider; none of one that is not there, as Keystone answers."""
    return store.find_all(source, idp_id)


def create(cloud: Cloud, idp_id: str, protocol_id: str, words: Mapping[str, Any]) -> Protocol:
    identity_providers.check_id(protocol_id)
    new = Protocol(protocol_id, idp_id, words["mapping_id"], words.get("remote_id_attribute"))

    def write(tx: Tx) -> None:
        _check_mapping(tx, new.mapping_id)
        identity_providers.get(tx, idp_id)
        if store.find(tx, idp_id, protocol_id) is not None:
            raise Conflict(
                "Conflict occurred attempting to store federation_protocol - "
                f"Duplicate entry found with ID {protocol_id}."
            )
        store.add(tx, new)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, idp_id: str, protocol_id: str, words: Mapping[str, Any]) -> Protocol:
    values = {name: words[name] for name in ("mapping_id", "remote_id_attribute") if name in words}

    def write(tx: Tx) -> Protocol:
        _check_mapping(tx, words["mapping_id"])
        get(tx, idp_id, protocol_id)
        store.change(tx, idp_id, protocol_id, values)
        return get(tx, idp_id, protocol_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, idp_id: str, protocol_id: str) -> None:
    """Remove a protocol, how it is spoken, and the users who could log in by it alone."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        get(tx, idp_id, protocol_id)
        for user_id in federated_users.only_known_by(tx, idp_id, protocol_id):
            users.end(tx, user_id, news)
        federated_users.forget_protocol(tx, idp_id, protocol_id)
        store.remove(tx, idp_id, protocol_id)
        revocations.changed(tx)

    cloud.db.write(write)
    federation_sources.remove(cloud.vault, idp_id, protocol_id)


def _check_mapping(tx: Tx, mapping_id: str) -> None:
    if mapping_store.find(tx, mapping_id) is None:
        raise Invalid(f"Invalid mapping id: {mapping_id}")
