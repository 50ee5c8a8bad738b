# SPDX-License-Identifier: Apache-2.0
"""What hosts may promise to ports, in placement: a provider for each agent, and below it one for each of its wires.

Names, uuids, traits and inventories are those that Neutron's placement service gives them, below the host's own
provider, which is compute's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.services.network.contract import ResourceRequest
from cumulet.services.network.logic import mechanisms
from cumulet.services.network.logic.minimums import CLASSES, TUNNEL_TRAIT, trait
from cumulet.services.network.store import common
from cumulet.services.network.types import Agent, qos
from cumulet.services.network.types.agents import LINK
from cumulet.services.placement.contract import Inventory, PlacementContract

NIC = "NIC Switch agent"  # Neutron's word for what plugs in virtual functions of network cards
TUNNELS = "rp_tunnelled"  # the wire that tunnels run over
BANDWIDTHS = "resource_provider_bandwidths"
RATES = (
    "resource_provider_packet_processing_without_direction",
    "resource_provider_packet_processing_with_direction",
)
DEFAULTS = "resource_provider_inventory_defaults"
RATE_DEFAULTS = "resource_provider_packet_processing_inventory_defaults"
_SPACES = {
    LINK: uuid.UUID("46067177-d883-4ff0-ab5f-45999d2ba842"),
    NIC: uuid.UUID("87f1895c-73bb-11e8-9008-c4d987b2a692"),
}
_DRIVERS = {LINK: ("fabric", "vhostuser"), NIC: ("sriov",)}

# What a host said of itself: the configurations of its agent.
Said = Mapping[str, Any]


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider below the host's own; `parent` is None where it is right below."""

    name: str
    parent: str | None
    inventory: dict[str, Inventory]
    traits: list[str]


def of_host(host: str, said: Said) -> dict[str, Provider]:
    """The providers of what the host said, by their uuids, parents first."""
    cards = _devices(said.get("device_mappings"))
    bandwidths: dict[str, dict[str, int | None]] = dict(said.get(BANDWIDTHS) or {})
    found: dict[str, Provider] = {}
    for kind, wires in ((LINK, _wires(said)), (NIC, cards)):
        mine = {name: each for name, each in bandwidths.items() if (name in cards) == (kind == NIC)}
        rates = _rates(host, said) if kind == LINK else {}
        if not mine and not rates:
            continue
        vnics = sorted({trait(f"VNIC_TYPE_{each}") for name in _DRIVERS[kind] for each in _vnic_types(name)})
        key = _key(kind, host)
        amounts = _inventory(qos.MINIMUM_PACKET_RATE, rates, said.get(RATE_DEFAULTS))
        found[key] = Provider(name=f"{host}:{kind}", parent=None, inventory=amounts, traits=vnics)
        for name, amount in mine.items():
            amounts = _inventory(qos.MINIMUM_BANDWIDTH, amount, said.get(DEFAULTS))
            wire = [TUNNEL_TRAIT] if name == TUNNELS else []
            wire += [trait(f"PHYSNET_{each}") for each in wires.get(name, [name] if not wire and kind == LINK else [])]
            whole = f"{host}:{kind}:{name}"
            found[_key(kind, f"{host}:{name}")] = Provider(
                name=whole, parent=key, inventory=amounts, traits=[*wire, *vnics]
            )
    return found


def joined(cloud: Cloud, tx: Tx, before: Agent | None, host: str, said: Said) -> None:
    """Say in placement what the host may promise now, and what it may no longer; the agent's row says whether."""
    wanted = of_host(host, said)
    if not wanted and (before is None or before.resources_synced is None):
        return
    placement = cloud.contracts.use(PlacementContract)
    root = placement.provider_named(tx, host)
    if root is not None:
        for key, each in wanted.items():
            placement.ensure_provider(tx, key, each.name, each.parent or root)
            _stock(placement, tx, key, each.inventory)
            placement.set_traits(tx, key, each.traits)
        _retire(placement, tx, root, host, wanted)
    known = common.find_all(tx, Agent, host=[host])
    common.set_quietly(tx, Agent, [each.id for each in known], {"resources_synced": root is not None})


def on_cards(
    requests: list[ResourceRequest], providers: Mapping[str, str], given: Mapping[str, str]
) -> list[ResourceRequest]:
    """See `NetworkContract.on_cards`."""
    found = []
    for each in requests:
        names = [providers.get(given.get(key, ""), "") for key in each.groups]
        card = next((name.partition(f":{NIC}:")[2] for name in names if f":{NIC}:" in name), "")
        if each.device is not None and card:
            each = msgspec.structs.replace(each, device=msgspec.structs.replace(each.device, card=card))
        found.append(each)
    return found


def withdraw(cloud: Cloud, tx: Tx, host: str) -> None:
    """Take away all that the host may promise, as far as nobody holds anything of it."""
    placement = cloud.contracts.use(PlacementContract)
    root = placement.provider_named(tx, host)
    if root is not None:
        _retire(placement, tx, root, host, ())


def _stock(placement: PlacementContract, tx: Tx, key: str, wanted: Mapping[str, Inventory]) -> None:
    """Let the provider have this; of classes that vanish, what is claimed stays claimed."""
    usage = placement.provider_usage(tx, key)
    kept = {
        name: Inventory(total=each.used, reserved=each.used)
        for name, each in usage.items()
        if each.used and name not in wanted
    }
    placement.set_inventory(tx, key, {**wanted, **kept})


def _retire(placement: PlacementContract, tx: Tx, root: str, host: str, wanted: Iterable[str]) -> None:
    """Take away the host's providers that are not wanted, children first."""
    own = tuple(f"{host}:{kind}" for kind in _SPACES)
    below = {key: name for key, name in placement.providers_below(tx, root).items() if name.startswith(own)}
    for key in sorted(below.keys() - set(wanted), key=lambda key: len(below[key]), reverse=True):
        placement.retire_provider(tx, key)


def _key(kind: str, name: str) -> str:
    return str(uuid.uuid5(_SPACES[kind], name))


def _vnic_types(driver: str) -> frozenset[str]:
    return mechanisms.find(driver).vnic_types


def _wires(said: Said) -> dict[str, list[str]]:
    """The physical networks behind each device of the fabric; one that is not mapped has a physical network's name."""
    mapped = said.get("bridge_mappings")
    return _devices({each: [name] for each, name in mapped.items()} if isinstance(mapped, dict) else None)


def _devices(mappings: Any) -> dict[str, list[str]]:
    """Physical networks by device, of devices by physical network."""
    found: dict[str, list[str]] = {}
    for physical, devices in mappings.items() if isinstance(mappings, dict) else ():
        for device in devices:
            found.setdefault(device, []).append(physical)
    return found


def _rates(host: str, said: Said) -> dict[str, int | None]:
    """The packet rates that the host may promise, by direction."""
    for name in RATES:
        found = said.get(name)
        if found:
            return dict(found.get(host) or {})
    return {}


def _inventory(type_: str, amounts: Mapping[str, int | None], defaults: Any) -> dict[str, Inventory]:
    fields: dict[str, Any] = dict(defaults or {})
    return {
        CLASSES[type_, direction]: Inventory(
            **{**fields, "total": amount, "reserved": min(amount, fields.get("reserved", 0))}
        )
        for direction, amount in amounts.items()
        if amount
    }
