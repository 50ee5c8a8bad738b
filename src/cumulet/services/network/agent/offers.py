# SPDX-License-Identifier: Apache-2.0
"""What a host may promise to ports, of its settings, under the names that Neutron's agents give it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cumulet.kernel import userland
from cumulet.kernel.errors import Invalid
from cumulet.kernel.link.host import Host
from cumulet.services.network.drivers.fake_plugs import FakePlugger
from cumulet.services.network.drivers.plugs import Plugger
from cumulet.services.network.drivers.user_switch import UserSwitch
from cumulet.services.network.types import qos
from cumulet.settings.network import Network

_BANDWIDTHS = "resource_provider_bandwidths"
_WITHOUT = "resource_provider_packet_processing_without_direction"
_WITH = "resource_provider_packet_processing_with_direction"
_DIRECTIONS = (qos.EGRESS, qos.INGRESS)
_NUMBERS = {"allocation_ratio": float}
_WHOLE = {"allocation_ratio": 1.0, "min_unit": 1, "step_size": 1, "reserved": 0}


def promises(settings: Network, host: str) -> dict[str, Any]:
    """What there is to promise, nothing where the settings say nothing. Invalid for what contradicts itself."""
    found: dict[str, Any] = {}
    if settings.resource_provider_bandwidths:
        found[_BANDWIDTHS] = _several(_BANDWIDTHS, settings.resource_provider_bandwidths)
        found["resource_provider_inventory_defaults"] = _defaults(settings.resource_provider_inventory_defaults)
    without = settings.resource_provider_packet_processing_without_direction
    with_ = settings.resource_provider_packet_processing_with_direction
    if without and with_:
        raise Invalid(f"{_WITHOUT} and {_WITH} are mutually exclusive")
    for name, text, directions in ((_WITHOUT, without, (qos.ANY,)), (_WITH, with_, _DIRECTIONS)):
        if text:
            found[name] = {_own(name, text, host): _rates(text, directions)}
            defaults = _defaults(settings.resource_provider_packet_processing_inventory_defaults)
            found["resource_provider_packet_processing_inventory_defaults"] = defaults
    return found


def pluggers(host: Host) -> list[Plugger]:
    """What plugs in ports beside the fabric here, as far as the settings speak of devices for them."""
    settings = host.settings.network
    cards, bridges = _mappings(settings.physical_device_mappings), _mappings(settings.vhostuser_bridge_mappings)
    folder, by_bridge = settings.vhostuser_socket_dir, {name: found[0] for name, found in bridges.items()}
    if not cards and not (folder and by_bridge):
        return []
    if settings.driver == "fake":
        return [FakePlugger(cards, folder, by_bridge)]
    found: list[Plugger] = []
    if cards and not userland.entered():
        # Loaded late, as the fabric is: netlink costs time that other hosts need not pay.
        from cumulet.services.network.drivers.cards import Cards

        found.append(Cards(cards))
    return [*found, *([UserSwitch(folder, by_bridge)] if folder and by_bridge else [])]


def _mappings(texts: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        physical, _, name = text.partition(":")
        found.setdefault(physical, []).append(name)
    return found


def _several(name: str, texts: Iterable[str]) -> dict[str, dict[str, int | None]]:
    found: dict[str, dict[str, int | None]] = {}
    for text in texts:
        key = text.partition(":")[0]
        if key in found:
            raise Invalid(f'{name}: "{key}" is listed several times')
        found[key] = _rates(text, _DIRECTIONS)
    return found


def _rates(text: str, directions: tuple[str, ...]) -> dict[str, int | None]:
    """Amounts by direction, None for those of which there is nothing to say."""
    amounts = text.partition(":")[2].split(":") if ":" in text else ["" for _ in directions]
    return {direction: int(amount) if amount else None for direction, amount in zip(directions, amounts, strict=True)}


def _own(name: str, text: str, host: str) -> str:
    """The host that rates are of: this one, named or not."""
    named = text.partition(":")[0]
    if named not in ("", host):
        raise Invalid(f"{name} is of {named}, and this host is {host}")
    return host


def _defaults(texts: Iterable[str]) -> dict[str, int | float]:
    found: dict[str, int | float] = dict(_WHOLE)
    for text in texts:
        key, _, value = text.partition(":")
        found[key] = _NUMBERS.get(key, int)(value)
    return found
