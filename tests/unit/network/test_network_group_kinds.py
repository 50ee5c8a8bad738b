# SPDX-License-Identifier: Apache-2.0
"""A port's security groups are all stateful, or all stateless, also for servers; the audit looks at it."""

from __future__ import annotations

import httpx
import pytest

from cumulet.kernel.audit import Look
from cumulet.kernel.context import Context
from cumulet.kernel.errors import Conflict
from cumulet.services.network import audit
from cumulet.services.network.logic import servers
from cumulet.services.network.store import addresses
from support.people import environment

SERVER = "a-server-of-the-groups"


@pytest.fixture(scope="module")
def words(cloud):
    return environment(cloud)


@pytest.fixture
def make(cloud, words):
    """Make something of a collection; its id."""

    def made(kind: str, **given: object) -> str:
        url = f"{cloud.control_url}/network/v2.0/{kind.replace('_', '-')}s"
        answer = httpx.post(url, json={kind: given}, headers={"x-auth-token": words["MEMBER_TOKEN"]}, timeout=30)
        assert answer.status_code == 201, answer.text
        return str(answer.json()[kind]["id"])

    return made


@pytest.fixture
def port(make):
    network = make("network")
    make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")
    return make("port", network_id=network, device_id=SERVER, device_owner="compute:nova")


def test_servers_groups_are_of_one_kind(cloud, words, make, port):
    make("security_group", name="bare", stateful=False)
    make("security_group", name="tracked")
    ctx = Context(project_id=words["PROJECT_ID"], roles=frozenset({"member", "reader"}))
    db = cloud.control.cloud.db
    with pytest.raises(Conflict) as refused:
        db.write(lambda tx: servers.add_group(tx, ctx, SERVER, "bare"))
    assert refused.value.code == "SecurityGroupConflict"
    db.write(lambda tx: servers.add_group(tx, ctx, SERVER, "tracked"))
    assert len(addresses.groups_of(db, [port])[port]) == 2


def test_the_audit_finds_ports_in_groups_of_both_kinds(cloud, make, port):
    both = [make("security_group", stateful=False), make("security_group", stateful=True)]
    db = cloud.control.cloud.db

    def found():
        return {(each.subject, each.text) for each in audit.audit(Look(cloud.control.cloud, "network"))}

    complaint = (port, "port is in stateful and in stateless security groups")
    assert complaint not in found()
    db.write(lambda tx: addresses.put_groups(tx, port, both))
    assert complaint in found()
    db.write(lambda tx: addresses.put_groups(tx, port, both[:1]))
    assert complaint not in found()
