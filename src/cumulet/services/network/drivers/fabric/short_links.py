# SPDX-License-Identifier: Apache-2.0
"""Links that are too short for IPv6, where the kernel takes neither addresses nor neighbours nor routes of it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from cumulet.services.network.drivers.fabric.ra import LEAST_MTU
from cumulet.services.network.types import GatewayState, LegState, NetworkState, RouterState


def carried(router: RouterState, networks: Mapping[str, NetworkState]) -> RouterState:
    """The router without the IPv6 of its legs on such links."""
    short = {leg.network_id for leg in router.every_leg if networks[leg.network_id].mtu < LEAST_MTU}
    spread = router.distributed
    if spread is not None:
        short |= {leg.network_id for leg in spread.snat if networks[leg.network_id].mtu < LEAST_MTU}
    if not short:
        return router
    gateways = [_gateway(way) if way.leg.network_id in short else way for way in router.gateways]
    first = 1 if router.gateway is not None else 0
    is_proxy = router.proxied is not None and router.gateway is not None and router.gateway.leg.network_id not in short
    return replace(
        router,
        legs=_legs(router.legs, short),
        gateway=gateways[0] if first else None,
        more_gateways=gateways[first:],
        proxied=router.proxied if is_proxy or router.proxied is None else [],
        distributed=replace(spread, snat=_legs(spread.snat, short)) if spread is not None else None,
    )


def _legs(legs: list[LegState], short: set[str]) -> list[LegState]:
    return [_leg(leg) if leg.network_id in short else leg for leg in legs]


def _leg(leg: LegState) -> LegState:
    return replace(leg, addresses=[one for one in leg.addresses if ":" not in one])


def _gateway(way: GatewayState) -> GatewayState:
    nexthop = way.nexthop if way.nexthop is not None and ":" not in way.nexthop else None
    return replace(way, leg=_leg(way.leg), nexthop=nexthop, nexthops=[hop for hop in way.nexthops if ":" not in hop])
