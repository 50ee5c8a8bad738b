# SPDX-License-Identifier: Apache-2.0
"""Names of ports in DNS: what is a name (RFC 952, 1034 and 1123), and which one a port's addresses have.

Ports have names of their own only where the cloud has a domain of its own (`network.dns_domain`); with the one that
is there from the start, what is given as a name is dropped, as Neutron does.
"""

from __future__ import annotations

import re
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Invalid

LONGEST = 255  # characters of a whole name
NO_ONES = "openstacklocal."
_LABEL = re.compile(r"([a-z0-9-]{1,63}|<project_id>|<project_name>|<user_name>|<user_id>)")
_OWN = ("dns_name", "dns_domain")


def domain_of(cloud: Cloud) -> str:
    """The domain of ports' names, with its final dot; "" for none."""
    said = str(cloud.settings.network.dns_domain)
    return said if not said or said.endswith(".") else f"{said}."


def is_named(domain: str) -> bool:
    """Whether ports in this domain have names of their own."""
    return domain not in ("", NO_ONES)


def fault_of(name: str) -> str | None:
    """Why this is no name, relative or whole; None where it is one. The words of a domain may be keywords."""
    trimmed = name.removesuffix(".")
    reason = _fault_of_labels(trimmed) if name else None
    return None if reason is None else f"'{name}' not a valid PQDN or FQDN. Reason: {reason}"


def kept(cloud: Cloud, values: dict[str, Any]) -> dict[str, Any]:
    """What is given of a port, without names where ports have none; Invalid for a name that leaves the domain."""
    domain = domain_of(cloud)
    if not is_named(domain):
        return {name: value for name, value in values.items() if name not in _OWN}
    reason = _fault_in(domain, values.get("dns_name", ""))
    if reason is not None:
        raise Invalid(f"Invalid input for dns_name. Reason: {reason}.")
    return values


def of_server(cloud: Cloud, hostname: str) -> dict[str, str]:
    """The name that a server's port gets from its host name."""
    name, domain = hostname.lower(), domain_of(cloud)
    if not name or not is_named(domain):
        return {}
    if fault_of(name) is not None or _fault_in(domain, name) is not None:
        raise Invalid(f"Instance hostname {hostname} is not a valid DNS name", code="InvalidInput")
    return {"dns_name": name}


def assignment(domain: str, name: str, address: str) -> dict[str, str]:
    """What an address of a port that is called `name` is called."""
    host = name if name and is_named(domain) else "host-" + re.sub(r"[.:]", "-", address)
    whole = host if host.endswith(".") or not domain else f"{host}.{domain}"
    return {"ip_address": address, "hostname": host, "fqdn": whole}


def told(domain: str, name: str, address: str) -> tuple[str, str]:
    """The host name and the domain, without dots at their ends, that DHCP tells the port's guest; "" for none."""
    if not address and not (name and is_named(domain)):
        return "", domain.removesuffix(".")
    whole = assignment(domain, name, address)["fqdn"].removesuffix(".")
    host, _, rest = whole.partition(".")
    return host, rest


def whole(domain: str, name: str) -> str:
    """The whole name of a port that is called `name`, without its final dot; "" where it has none of its own."""
    return assignment(domain, name, "")["fqdn"].removesuffix(".").lower() if name and is_named(domain) else ""


def _fault_of_labels(name: str) -> str | None:
    if len(name) > LONGEST:
        return f"'{name}' exceeds the {LONGEST} character FQDN limit"
    labels = name.split(".")
    for label in labels:
        if not label:
            return "Encountered an empty component"
        if label.startswith("-") or label.endswith("-"):
            return f"Name '{label}' must not start or end with a hyphen"
        if not _LABEL.fullmatch(label):
            return f"Name '{label}' must be 1-63 characters long, each of which can only be alphanumeric or a hyphen"
    if len(labels) > 1 and re.fullmatch(r"[0-9]+", labels[-1]):
        return f"TLD '{labels[-1]}' must not be all numeric"
    return None


def _fault_in(domain: str, name: str) -> str | None:
    """Why a port in the cloud's domain cannot have the name."""
    if not name:
        return None
    above = f".{domain}"
    if not name.endswith("."):
        if len(name) + len(above) <= LONGEST:
            return None
        return (
            f"The dns_name passed is a PQDN and its size is '{len(name)}'. The dns_domain option in neutron.conf is "
            f"set to {domain}, with a length of '{len(above)}'. When the two are concatenated to form a FQDN (with a "
            f"'.' at the end), the resulting length exceeds the maximum size of '{LONGEST}'"
        )
    if len(name) > len(domain) and name.endswith(domain):
        return None
    return (
        "The dns_name passed is a FQDN. Its higher level labels must be equal to the dns_domain option in "
        f"neutron.conf, that has been set to '{domain}'. It must also include one or more valid DNS labels to the left "
        f"of '{domain}'"
    )
