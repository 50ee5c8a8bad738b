# SPDX-License-Identifier: Apache-2.0
"""Flavors of services and their profiles, and who provides a service of a flavor."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common
from cumulet.services.network.store import flavors as store
from cumulet.services.network.types import Router
from cumulet.services.network.types.flavors import Flavor, FlavorProfile, ServiceProfile


class Provider(msgspec.Struct, frozen=True):
    """Who provides a service. `driver` is what profiles call it: the name that OpenStack's own has."""

    service_type: str
    name: str
    driver: str
    default: bool = False


ROUTING = "L3_ROUTER_NAT"
PROVIDERS = (
    Provider(ROUTING, "single_node", "neutron.services.l3_router.service_providers.single_node.SingleNodeDriver", True),
)
SERVICE_TYPES = frozenset({"CORE", "FLAVORS", "PORTFORWARDING", "QOS", ROUTING, "trunk"})


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> Flavor:
    """A new flavor, without profiles."""
    flavor = Flavor(
        id=ids.new_uuid(),
        name=values["name"],
        description=values["description"],
        service_type=values["service_type"],
        enabled=values["enabled"],
        created_at=clock.utcnow(),
    )
    common.add(tx, flavor)
    return flavor


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> Flavor:
    """Change attributes; its profiles are not among them."""
    changes = {name: value for name, value in values.items() if name != "service_profiles"}
    common.set_quietly(tx, Flavor, [key], changes)
    return access.must(tx, Flavor, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a flavor that no router has."""
    _lock(tx)
    if common.find_all(tx, Router, flavor_id=[key]):
        raise fault("FlavorInUse", id=key)
    common.remove(tx, Flavor, [key])


def create_profile(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> ServiceProfile:
    """A new profile, with a driver that there is, or with words for whoever reads them."""
    if values["driver"]:
        _provider(values["driver"])
    elif not values["metainfo"]:
        raise fault("ServiceProfileEmpty")
    profile = ServiceProfile(
        id=ids.new_uuid(),
        description=values["description"],
        driver=values["driver"],
        metainfo=values["metainfo"],
        enabled=values["enabled"],
        created_at=clock.utcnow(),
    )
    common.add(tx, profile)
    return profile


def update_profile(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> ServiceProfile:
    """Change a profile that no flavor has."""
    _lock(tx)
    if values.get("driver"):
        _provider(values["driver"])
    if store.is_used(tx, key):
        raise fault("ServiceProfileInUse", id=key)
    common.set_quietly(tx, ServiceProfile, [key], values)
    return access.must(tx, ServiceProfile, key)


def delete_profile(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a profile that no flavor has."""
    _lock(tx)
    if store.is_used(tx, key):
        raise fault("ServiceProfileInUse", id=key)
    common.remove(tx, ServiceProfile, [key])


def attach(tx: Tx, flavor_id: str, profile_id: str) -> None:
    """Give the flavor a profile."""
    _lock(tx)
    access.must(tx, Flavor, flavor_id)
    access.must(tx, ServiceProfile, profile_id)
    if is_attached(tx, flavor_id, profile_id):
        raise fault("FlavorServiceProfileBindingExists", id=profile_id, flavor_id=flavor_id)
    store.add(tx, FlavorProfile(flavor_id, profile_id, clock.utcnow()))


def detach(tx: Tx, flavor_id: str, profile_id: str) -> None:
    """Take it from the flavor again."""
    check_attached(tx, flavor_id, profile_id)
    store.remove(tx, flavor_id, profile_id)


def check_attached(source: Source, flavor_id: str, profile_id: str) -> None:
    """Raise FlavorServiceProfileBindingNotFound where the flavor has no such profile."""
    if not is_attached(source, flavor_id, profile_id):
        raise fault("FlavorServiceProfileBindingNotFound", id=profile_id, flavor_id=flavor_id)


def is_attached(source: Source, flavor_id: str, profile_id: str) -> bool:
    """Whether the flavor has the profile."""
    return profile_id in {one.service_profile_id for one in store.of_flavors(source, [flavor_id])}


def next_provider(source: Source, flavor_id: str) -> Provider:
    """Who provides the next service of this flavor: the driver of its first profile."""
    attached = store.of_flavors(source, [flavor_id])
    if not attached:
        raise fault("FlavorServiceProfileBindingNotFound", id="", flavor_id=flavor_id)
    profile = access.must(source, ServiceProfile, attached[0].service_profile_id)
    if not profile.enabled:
        raise fault("ServiceProfileDisabled")
    return _provider(profile.driver)


def check_router(tx: Tx, flavor_id: str | None) -> None:
    """Refuse a flavor that a new router cannot have; one that it may have stays till the commit."""
    _lock(tx)
    if flavor_id is None:
        raise fault("FlavorNotFound", id=flavor_id)
    access.must(tx, Flavor, flavor_id)
    next_provider(tx, flavor_id)


def _provider(driver: str) -> Provider:
    found = next((one for one in PROVIDERS if one.driver == driver), None)
    if found is None:
        raise fault("ServiceProfileDriverNotFound", driver=driver)
    return found


def _lock(tx: Tx) -> None:
    tx.lock("network:flavors")
