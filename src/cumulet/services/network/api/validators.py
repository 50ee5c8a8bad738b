# SPDX-License-Identifier: Apache-2.0
"""Neutron's rules for values: conversions that raise, and checks that answer with a reason or None."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from cumulet.kernel.ids import is_uuid
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.logic.security_group_rules import PROTOCOLS

Check = Callable[[Any], str | None]
Convert = Callable[[Any], Any]

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


# Conversions.


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower() if isinstance(value, (str, int)) else ""
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise invalid(f"'{value}' cannot be converted to boolean")


def boolean_or_none(value: Any) -> bool | None:
    return None if value is None else boolean(value)


def integer(value: Any) -> int:
    try:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError
        return int(value)
    except ValueError:
        raise invalid(f"'{value}' is not an integer") from None


def moment(value: str) -> datetime:
    """A time of ISO 8601; one without a zone is UTC's."""
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid("The input changed_since must be in the following format: YYYY-MM-DDTHH:MM:SSZ") from None


def protocol_name(value: Any) -> Any:
    """A protocol by name or number, as it was given; whether it will do is another question."""
    if value is None:
        return value
    if not isinstance(value, str):
        raise invalid(f"Input value {value} must be string type")
    text = value.lower()
    if text not in PROTOCOLS and not (text.isascii() and text.isdigit() and int(text[:9]) <= 255):
        raise invalid(
            f"IP protocol '{value}' is not supported. Only protocol names and their integer representation (0 to 255) "
            "are supported"
        )
    return value


def none_to_list(value: Any) -> Any:
    return [] if value is None else value


def nothing_to_list(value: Any) -> Any:
    return value or []


def mac_form(value: Any) -> Any:
    """A MAC in lower case with colons, where `value` is one."""
    if not isinstance(value, str):
        return value
    digits = re.sub(r"[-:.]", "", value).lower()
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2)) if re.fullmatch(r"[0-9a-f]{12}", digits) else value


def cidr_form(value: Any) -> Any:
    """An IPv6 CIDR or address in its shortest spelling; anything else as it is."""
    if not isinstance(value, str) or ":" not in value:
        return value
    try:
        network = ipaddress.ip_interface(value)
    except ValueError:
        return value
    return str(network) if "/" in value else str(network.ip)


def cidr_of_subnet(value: Any) -> Any:
    """A subnet's CIDR as given, an IPv6 one in its shortest spelling."""
    if isinstance(value, str):
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise invalid(f"{value} is not in a CIDR format") from None
    return cidr_form(value)


def pools_form(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [{key: cidr_form(item) for key, item in pool.items()} if isinstance(pool, dict) else pool for pool in value]


def protocol(value: Any) -> str | None:
    if value is None or value == "any":
        return None
    text = str(value).lower() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if text in PROTOCOLS or (text.isascii() and text.isdigit() and int(text) <= 255):
        return text
    raise fault("SecurityGroupRuleInvalidProtocol", protocol=value, values=(None, "any", *PROTOCOLS))


def ethertype(value: Any) -> str:
    found = {"ipv4": "IPv4", "ipv6": "IPv6"}.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise fault("SecurityGroupRuleInvalidEtherType", ethertype=value)
    return found


def port_number(value: Any) -> int | None:
    if value is None:
        return None
    try:
        number = integer(value)
    except Exception:
        raise fault("SecurityGroupInvalidPortValue", port=value) from None
    if not 0 <= number <= 65535:
        raise fault("SecurityGroupInvalidPortValue", port=value)
    return number


def rule_prefix(value: Any) -> str | None:
    """An address or CIDR as a CIDR; nothing for an empty value."""
    if not value:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError
        return str(ipaddress.ip_interface(value))
    except ValueError:
        raise fault("InvalidCIDR", input=value) from None


# Checks.


def text(most: int) -> Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return f"'{value}' is not a valid string"
        if len(value) > most:
            return f"'{value}' exceeds maximum length of {most}"
        return None

    return check


def name(most: int = 255) -> Check:
    def check(value: Any) -> str | None:
        reason = text(most)(value)
        if reason is None and (_UNPRINTABLE.search(value) or value != value.strip()):
            return f"'{value}' is not a valid string"
        return reason

    return check


def group_name(value: Any) -> str | None:
    reason = text(255)(value)
    if reason is None and value.lower() == "default":
        raise fault("SecurityGroupDefaultAlreadyExists")
    return reason


def or_none(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def one_of(values: Collection[Any]) -> Check:
    def check(value: Any) -> str | None:
        known = isinstance(value, (str, int, type(None))) and value in values
        return None if known else f"{value} is not in valid_values"

    return check


def uuid(value: Any) -> str | None:
    return None if isinstance(value, str) and is_uuid(value) else f"'{value}' is not a valid UUID"


def non_negative(value: Any) -> str | None:
    return None if value >= 0 else f"'{value}' should be non-negative"


def at_most(low: int, high: int) -> Check:
    def check(value: Any) -> str | None:
        if value < low:
            return f"'{value}' is too small - must be at least '{low}'"
        return f"'{value}' is too large - must be no larger than '{high}'" if value > high else None

    return check


def mac(value: Any) -> str | None:
    ok = isinstance(value, str) and _MAC.fullmatch(value) and value not in ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff")
    return None if ok and not int(value[1], 16) & 1 else f"'{value}' is not a valid MAC address"


def address(value: Any) -> str | None:
    try:
        if not isinstance(value, str) or "%" in value:
            raise ValueError
        ipaddress.ip_address(value)
    except ValueError:
        return f"'{value}' is not a valid IP address"
    return None


def subnet(value: Any) -> str | None:
    try:
        if not isinstance(value, str) or "/" not in value or "%" in value:
            raise ValueError
        found = ipaddress.ip_interface(value)
        if found.version == 4 and str(found) != value:
            raise ValueError
    except ValueError:
        return f"'{value}' is not a valid IP subnet"
    return None


def prefixes(value: Any) -> str | None:
    """A list of subnets."""
    return _list_of(value, subnet)


def addresses(value: Any) -> str | None:
    """A list of addresses and subnets."""
    return _list_of(value, address_or_subnet)


def full_name(value: Any) -> str | None:
    """A name that is not empty."""
    reason = name()(value)
    return reason if reason is not None or value else f"'{value}' Blank strings are not permitted"


def address_or_subnet(value: Any) -> str | None:
    if address(value) is not None and subnet(value) is not None:
        return f"'{value}' is neither a valid IP address, nor is it a valid IP subnet"
    return None


def pools(value: Any) -> str | None:
    if not isinstance(value, list):
        return f"Invalid data format for IP pool: '{value}'"
    for pool in value:
        reason = _exact_keys(pool, ("end", "start")) or address(pool["start"]) or address(pool["end"])
        if reason is not None:
            return reason
    return None


def fixed_ips(value: Any) -> str | None:
    if not isinstance(value, list):
        return f"Invalid data format for fixed IP: '{value}'"
    seen: set[str] = set()
    for item in value:
        if not isinstance(item, dict) or item.keys() - {"subnet_id", "ip_address"}:
            return f"Invalid data format for fixed IP: '{item}'"
        if "ip_address" in item:
            reason = address(item["ip_address"])
            if reason is not None:
                return reason
            if item["ip_address"] in seen:
                return f"Duplicate IP address '{item['ip_address']}'"
            seen.add(item["ip_address"])
        if "subnet_id" in item and (reason := uuid(item["subnet_id"])) is not None:
            return reason
    return None


def name_servers(value: Any) -> str | None:
    if not isinstance(value, list):
        return f"Invalid data format for nameserver: '{value}'"
    for position, server in enumerate(value):
        reason = address(server)
        if reason is not None:
            return f"'{server}' is not a valid nameserver. {reason}"
        if server in value[:position]:
            return f"Duplicate nameserver '{server}'"
    return None


def host_routes(value: Any) -> str | None:
    if not isinstance(value, list):
        return f"Invalid data format for hostroute: '{value}'"
    for position, route in enumerate(value):
        reason = (
            _exact_keys(route, ("destination", "nexthop"))
            or _destination(route["destination"])
            or address(route["nexthop"])
        )
        if reason is not None:
            return reason
        if route in value[:position]:
            return f"Duplicate hostroute '{route}'"
    return None


def uuid_list(value: Any) -> str | None:
    return _list_of(value, uuid)


def string_list(most: int) -> Check:
    return lambda value: _list_of(value, text(most))


def plain_dict(value: Any) -> str | None:
    return None if isinstance(value, dict) else f"'{value}' is not a dictionary"


def gateway_info(value: Any) -> str | None:
    """A router's `external_gateway_info`; None or empty takes the gateway away."""
    if not value:
        return None
    if not isinstance(value, dict):
        return f"'{value}' is not a dictionary"
    unknown = value.keys() - {"network_id", "enable_snat", "external_fixed_ips", "qos_policy_id"}
    if unknown or "network_id" not in value:
        expected = "['network_id']"
        provided = sorted(value)
        return f"Validation of dictionary's keys failed. Expected keys: {expected} Provided keys: {provided}"
    if (reason := uuid(value["network_id"])) is not None:
        return reason
    if (reason := or_none(uuid)(value.get("qos_policy_id"))) is not None:
        return reason
    if "enable_snat" in value:
        value["enable_snat"] = boolean(value["enable_snat"])
    if value.get("external_fixed_ips") is not None:
        return fixed_ips(value["external_fixed_ips"])
    return None


def gateway_infos(value: Any) -> str | None:
    """A list of what `gateway_info` takes; the same may be asked for twice."""
    if not isinstance(value, list):
        return f"'{value}' is not a list"
    reasons = (gateway_info(item) if item else f"'{item}' is not a dictionary" for item in value)
    return next((reason for reason in reasons if reason is not None), None)


def address_pairs(value: Any) -> str | None:
    """Allowed address pairs; MACs are brought to their usual form in passing."""
    if not isinstance(value, list):
        return f"Allowed address pairs must be a list, not '{value}'"
    for pair in value:
        if not isinstance(pair, dict) or pair.keys() - {"ip_address", "mac_address"}:
            return f"'{pair}' is not an allowed address pair"
        if "ip_address" not in pair:
            raise fault("AllowedAddressPairsMissingIP")
        if pair.get("mac_address") is not None:
            pair["mac_address"] = mac_form(pair["mac_address"])
            if (reason := mac(pair["mac_address"])) is not None:
                return reason
        if (reason := address_or_subnet(pair["ip_address"])) is not None:
            return reason
    return None


def dhcp_options(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, list):
        return f"'{value}' is not a list"
    for item in value:
        if not isinstance(item, dict) or item.keys() - {"opt_name", "opt_value", "ip_version"}:
            return f"No valid key specs matched for: {item}"
        options_ok = text(64)(item.get("opt_name")) is None and or_none(text(255))(item.get("opt_value")) is None
        if not options_ok or not item["opt_name"].strip() or "opt_value" not in item:
            return f"No valid key specs matched for: {item}"
        if integer(item.get("ip_version", 4)) not in (4, 6):
            return f"No valid key specs matched for: {item}"
    return None


def _exact_keys(value: Any, keys: tuple[str, ...]) -> str | None:
    if not isinstance(value, dict):
        return f"Invalid input. '{value}' must be a dictionary with keys: {list(keys)}"
    if set(value) != set(keys):
        provided = sorted(map(str, value))
        return f"Validation of dictionary's keys failed. Expected keys: {list(keys)} Provided keys: {provided}"
    return None


def _destination(value: Any) -> str | None:
    try:
        if not isinstance(value, str) or "/" not in value:
            raise ValueError
        network = ipaddress.ip_network(value)
    except ValueError:
        return f"'{value}' is not a valid CIDR"
    return f"'{value}' is not a routable CIDR" if network.is_loopback else None


def _list_of(value: Any, check: Check) -> str | None:
    if not isinstance(value, list):
        return f"'{value}' is not a list"
    for position, item in enumerate(value):
        if item in value[:position]:
            return f"Duplicate items in the list: '{item}'"
        reason = check(item)
        if reason is not None:
            return reason
    return None
