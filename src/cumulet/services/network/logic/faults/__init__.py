# SPDX-License-Identifier: Apache-2.0
"""Refusals under Neutron's names and in its words."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import CumuletError
from cumulet.services.network.logic.faults import (
    address_groups,
    address_scopes,
    agents,
    bindings,
    conntrack_helpers,
    core,
    flavors,
    gateways,
    group_defaults,
    ha,
    local_ips,
    metering,
    ndp_proxies,
    packet_logs,
    port_attributes,
    port_forwardings,
    qos,
    rbac_policies,
    segments,
    topologies,
    trunks,
)

_FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    **core.FAULTS,
    **port_attributes.FAULTS,
    **address_scopes.FAULTS,
    **rbac_policies.FAULTS,
    **address_groups.FAULTS,
    **group_defaults.FAULTS,
    **qos.FAULTS,
    **trunks.FAULTS,
    **bindings.FAULTS,
    **port_forwardings.FAULTS,
    **topologies.FAULTS,
    **conntrack_helpers.FAULTS,
    **agents.FAULTS,
    **flavors.FAULTS,
    **gateways.FAULTS,
    **ndp_proxies.FAULTS,
    **segments.FAULTS,
    **metering.FAULTS,
    **packet_logs.FAULTS,
    **ha.FAULTS,
    **local_ips.FAULTS,
}


def fault(name: str, **words: Any) -> CumuletError:
    """The error called `name`; its template's words are filled from `words`."""
    kind, template = _FAULTS[name]
    return kind(template.format(**words), code=name)


def invalid(reason: str) -> CumuletError:
    """InvalidInput, for reasons that have no name of their own."""
    return fault("InvalidInput", error_message=reason)


def bad(resource: str, reason: str) -> CumuletError:
    """BadRequest: the request does not fit the resource."""
    return fault("BadRequest", resource=resource, msg=reason)
