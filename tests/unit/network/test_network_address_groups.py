# SPDX-License-Identifier: Apache-2.0
"""Address groups: a rule that names one becomes rules by its addresses on hosts; and many writers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest

from cumulet.services.network.logic.security_group_rules import states
from cumulet.services.network.types import RuleState, SecurityGroupRule
from support.people import environment

WRITERS = 8
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


@pytest.fixture
def client(cloud):
    headers = {"x-auth-token": environment(cloud)["MEMBER_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=60) as found:
        yield found


def _group(client: httpx.Client) -> str:
    return str(client.post("/address-groups", json={"address_group": {}}).json()["address_group"]["id"])


def test_of_many_writers_none_is_lost(client):
    path = f"/address-groups/{_group(client)}"
    wanted = [f"10.0.{number}.0/24" for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        answers = pool.map(lambda each: client.put(f"{path}/add_addresses", json={"addresses": [each]}), wanted)
        assert [answer.status_code for answer in answers] == [200] * WRITERS
    assert sorted(client.get(path).json()["address_group"]["addresses"]) == sorted(wanted)


def test_a_group_goes_or_is_admitted_and_never_both(client):
    guard = client.post("/security-groups", json={"security_group": {}}).json()["security_group"]["id"]
    for _ in range(WRITERS):
        key = _group(client)
        rule = {"security_group_id": guard, "direction": "ingress", "remote_address_group_id": key}
        with ThreadPoolExecutor(2) as pool:
            gone = pool.submit(client.delete, f"/address-groups/{key}")
            named = pool.submit(client.post, "/security-group-rules", json={"security_group_rule": rule})
        assert (gone.result().status_code, named.result().status_code) in {(204, 404), (409, 201)}
