# SPDX-License-Identifier: Apache-2.0
"""Address groups on hosts: a rule that names one becomes rules by its addresses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from cumulet.services.network.logic.security_group_rules import states
from cumulet.services.network.types import RuleState, SecurityGroupRule

NOW = datetime(2026, 11, 22)
GROUPS = {"offices": ["192.0.2.0/24", "2001:db8::/64", "198.51.100.9/32"], "empty": []}


def rule(ethertype: str, **words: Any) -> SecurityGroupRule:
    remote = {"remote_ip_prefix": None, "remote_group_id": None, "remote_address_group_id": None, **words}
    address_group = remote.pop("remote_address_group_id")
    return SecurityGroupRule(
        "r", "pr", "g", "ingress", ethertype, "tcp", 80, 80, *remote.values(), "", 0, NOW, NOW, address_group
    )


def admitted(version: int, cidr: str | None) -> RuleState:
    return RuleState(direction="ingress", version=version, protocol=6, low=80, high=80, remote_cidr=cidr)


def test_a_rule_admits_the_addresses_of_its_ip_version():
    assert states(rule("IPv4", remote_address_group_id="offices"), GROUPS) == [
        admitted(4, "192.0.2.0/24"),
        admitted(4, "198.51.100.9/32"),
    ]
    assert states(rule("IPv6", remote_address_group_id="offices"), GROUPS) == [admitted(6, "2001:db8::/64")]


@pytest.mark.parametrize("key", ["empty", "gone"])
def test_nobody_is_admitted_by_a_group_without_addresses(key: str):
    assert states(rule("IPv4", remote_address_group_id=key), GROUPS) == []


def test_a_rule_without_a_group_is_one_rule():
    assert states(rule("IPv4"), GROUPS) == [admitted(4, None)]
    assert states(rule("IPv4", remote_ip_prefix="10.0.0.0/8"), GROUPS) == [admitted(4, "10.0.0.0/8")]
