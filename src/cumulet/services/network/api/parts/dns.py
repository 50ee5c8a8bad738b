# SPDX-License-Identifier: Apache-2.0
"""Names and domains in DNS: of ports and floating IPs, of networks, and whether a subnet's addresses are published."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.parts.base import Part, Values, columns
from cumulet.services.network.logic import dns
from cumulet.services.network.logic.faults import bad, invalid
from cumulet.services.network.types import FloatingIp


def _lower(value: Any) -> str:
    """DNS knows no case."""
    if not isinstance(value, str):
        raise invalid(f"Input value {value} must be string type")
    return value.lower()


def _relative(name: str) -> str | None:
    if name.endswith("."):
        return f"'{name}' is a FQDN. It should be a relative domain name"
    if (reason := dns.fault_of(name)) is not None:
        return reason
    if len(name) > dns.LONGEST - 3:
        return _too_long(name, "domain name")
    return None


def _domain(name: str) -> str | None:
    if name and not name.endswith("."):
        return f"'{name}' is not a FQDN"
    if (reason := dns.fault_of(name)) is not None:
        return reason
    if len(name) > dns.LONGEST - 2:
        return _too_long(name, "sub-domain")
    return None


def _too_long(name: str, more: str) -> str:
    return (
        f"'{name}' contains {len(name)} characters. Adding a {more} will cause it to exceed the maximum length of a "
        f"FQDN of '{dns.LONGEST}'"
    )


def _both(tx: Tx, ctx: Context, floating: FloatingIp | None, values: Values) -> None:
    if values["dns_domain"] and not values["dns_name"]:
        raise bad("floatingip", "dns_domain cannot be specified without a dns_name")
    if values["dns_name"] and not values["dns_domain"]:
        raise bad("floatingip", "dns_name cannot be specified without a dns_domain")


_DOMAIN = Attribute(post=True, put=True, default="", convert=_lower, check=_domain, filters=False)

PORT_NAMES = Part(
    attributes={
        "dns_name": Attribute(post=True, put=True, default="", convert=_lower, check=dns.fault_of, filters=False),
        "dns_domain": _DOMAIN,
    },
    render=columns("dns_name", "dns_domain"),
)
NETWORK_DOMAIN = Part(attributes={"dns_domain": _DOMAIN}, render=columns("dns_domain"))
FLOATING_NAMES = Part(
    attributes={
        "dns_name": Attribute(post=True, default="", convert=_lower, check=_relative, filters=False),
        "dns_domain": Attribute(post=True, default="", convert=_lower, check=_domain, filters=False),
    },
    render=columns("dns_name", "dns_domain"),
    check=_both,
)
SUBNET_PUBLISHING = Part(
    attributes={
        "dns_publish_fixed_ip": Attribute(post=True, put=True, default=False, convert=check.boolean, filters=False)
    },
    render=columns("dns_publish_fixed_ip"),
)
