# SPDX-License-Identifier: Apache-2.0
"""Which stored policy is for which endpoint.

An endpoint's own policy goes before that of its service in its region, this before that of the service in a region
above, and all before that of the service alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound
from cumulet.services.identity.logic import endpoints, policies, regions, services
from cumulet.services.identity.store import endpoint_policies as store
from cumulet.services.identity.store import endpoints as endpoint_store
from cumulet.services.identity.store import regions as region_store
from cumulet.services.identity.types import Endpoint, PolicyAssociation, StoredPolicy


def place(
    policy_id: str, endpoint_id: str | None = None, service_id: str | None = None, region_id: str | None = None
) -> PolicyAssociation:
    """A policy for an endpoint, for a service, or for a service in a region."""
    return PolicyAssociation(ids.new_hex(), policy_id, endpoint_id, service_id, region_id)


def check(source: Source, wanted: PolicyAssociation) -> None:
    """NotFound unless there is this association."""
    _check_parties(source, wanted)
    found = store.find(source, wanted)
    if found is None or found.policy_id != wanted.policy_id:
        raise NotFound("Could not find policy association.", code="PolicyAssociationNotFound")


def create(cloud: Cloud, new: PolicyAssociation) -> None:
    """Associate a policy; another one that was for the same place is so no longer."""

    def write(tx: Tx) -> None:
        _check_parties(tx, new)
        store.put(tx, new)

    cloud.db.write(write)


def delete(cloud: Cloud, gone: PolicyAssociation) -> None:
    """Take an association back; one that is not there is no error."""

    def write(tx: Tx) -> None:
        _check_parties(tx, gone)
        store.remove(tx, gone)

    cloud.db.write(write)


def endpoints_of(source: Source, policy_id: str) -> list[Endpoint]:
    """The endpoints that a policy's associations reach, each once."""
    policies.get(source, policy_id)
    every = endpoint_store.find_all(source)
    associations = store.of_policy(source, policy_id)
    return [one for one in every if any(_reaches(source, association, one) for association in associations)]


def policy_of(source: Source, endpoint_id: str) -> StoredPolicy:
    """The policy for an endpoint, the nearest association's."""
    endpoint = endpoints.get(source, endpoint_id)
    for wanted in _nearest(source, endpoint):
        found = store.find(source, wanted)
        if found is not None:
            return policies.get(source, found.policy_id)
    raise NotFound(f"No policy is associated with endpoint {endpoint_id}.")


def _nearest(source: Source, endpoint: Endpoint) -> Iterator[PolicyAssociation]:
    yield place("", endpoint_id=endpoint.id)
    for region_id in _regions(source, endpoint):
        yield place("", service_id=endpoint.service_id, region_id=region_id)
    yield place("", service_id=endpoint.service_id)


def _regions(source: Source, endpoint: Endpoint) -> Iterator[str]:
    """The endpoint's region and those above it."""
    region_id = endpoint.region_id
    while region_id is not None:
        yield region_id
        region = region_store.find(source, region_id)
        region_id = region.parent_region_id if region is not None else None


def _reaches(source: Source, association: PolicyAssociation, endpoint: Endpoint) -> bool:
    if association.endpoint_id is not None:
        return association.endpoint_id == endpoint.id
    if association.service_id != endpoint.service_id:
        return False
    return association.region_id is None or association.region_id in _regions(source, endpoint)


def _check_parties(source: Source, wanted: PolicyAssociation) -> None:
    policies.get(source, wanted.policy_id)
    if wanted.endpoint_id is not None:
        endpoints.get(source, wanted.endpoint_id)
    if wanted.service_id is not None:
        services.get(source, wanted.service_id)
    if wanted.region_id is not None:
        regions.get(source, wanted.region_id)
