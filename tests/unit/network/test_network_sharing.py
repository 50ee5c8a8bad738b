# SPDX-License-Identifier: Apache-2.0
"""What rows say of RBAC policies agrees with them: after an upgrade, and where the audit looks."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest

from cumulet.kernel import clock
from cumulet.kernel.audit import Look
from cumulet.kernel.context import Context
from cumulet.kernel.db import migrate, sql
from cumulet.services.network import audit, loops, tables
from cumulet.services.network.contract import PortRequest
from cumulet.services.network.logic import group_details, servers
from cumulet.services.network.store import common, lookups
from cumulet.services.network.store import rbac_policies as store
from cumulet.services.network.types import EVERYBODY, Network, RbacPolicy
from support.people import environment

SCRIPTS = Path(audit.__file__).parent / "migrations"


@pytest.fixture(scope="module")
def people(cloud):
    return environment(cloud)


@pytest.fixture
def ask(cloud, people):
    """Ask as one of the people: `ask("MEMBER", "POST", "/networks", {...})`."""
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", timeout=30) as client:
        yield lambda who, method, path, body=None: client.request(
            method, path, json=body, headers={"x-auth-token": people[f"{who}_TOKEN"]}
        )


def _network(key: str, shared: bool, external: bool, segment: int) -> dict[str, object]:
    now = clock.utcnow()
    return {
        "id": key, "project_id": "owner", "name": "", "admin_state_up": True, "shared": shared, "external": external,
        "is_default": False, "mtu": 1500, "port_security_enabled": True, "network_type": "vxlan",
        "segmentation_id": segment, "availability_zone_hints": [], "description": "", "tags": [],
        "revision_number": 1, "created_at": now, "updated_at": now,
    }  # fmt: skip


def test_what_was_shared_before_has_its_policies(empty, tmp_path):
    before = tmp_path / "before"
    before.mkdir()
    shutil.copy(SCRIPTS / "0001_initial.sql", before)
    migrate.migrate(empty, {"network": before})
    rows = [_network("plain", False, False, 1), _network("shared", True, False, 2), _network("both", True, True, 3)]
    with_defaults = tables.network.insert()
    empty.write(lambda tx: [sql.execute(tx, with_defaults.values(row)) for row in rows])
    migrate.migrate(empty, {"network": SCRIPTS})
    found = {(each.object_id, each.action): each for each in common.find_all(empty, RbacPolicy)}
    assert found.keys() == {
        ("shared", "access_as_shared"), ("both", "access_as_shared"), ("both", "access_as_external")
    }  # fmt: skip
    assert {(each.target_project, each.project_id, each.object_type) for each in found.values()} == {
        (EVERYBODY, "owner", "network")
    }
    assert len({each.id for each in found.values()}) == 3
    assert all(len(each.id) == 36 for each in found.values())


def test_the_audit_looks_at_what_is_shared(cloud, ask):
    db = cloud.control.cloud.db
    made = ask("ADMIN", "POST", "/networks", {"network": {"shared": True}}).json()["network"]["id"]

    def found():
        return {finding.subject for finding in audit.audit(Look(cloud.control.cloud, "network"))}

    policy = ask("ADMIN", "GET", f"/rbac-policies?object_id={made}").json()["rbac_policies"][0]["id"]
    assert not {made, policy} & found()
    db.write(lambda tx: common.set_quietly(tx, Network, [made], {"shared": False}))
    assert made in found()
    db.write(lambda tx: common.remove(tx, Network, [made]))
    assert policy in found()
    assert ask("ADMIN", "DELETE", f"/rbac-policies/{policy}").status_code == 204
    assert policy not in found()


def test_nobody_looks_for_policies_where_none_names_a_project(ask, monkeypatch):
    def refuse(*_):
        raise AssertionError("policies were asked for")

    network = ask("ADMIN", "POST", "/networks", {"network": {"shared": True}}).json()["network"]["id"]
    monkeypatch.setattr(store, "shared_with", refuse)
    assert ask("OTHER", "POST", "/ports", {"port": {"network_id": network}}).status_code == 201
    for collection in ("networks", "ports", "security-groups", "subnetpools", "address-scopes"):
        assert ask("OTHER", "GET", f"/{collection}").status_code == 200


def test_policies_follow_what_the_release_before_does(cloud, ask):
    """It writes `shared` and `external`, and removes objects, and knows of no policies."""
    db = cloud.control.cloud.db
    shared, external, gone, closed = (
        ask("ADMIN", "POST", "/networks", {"network": {name: True} if name else {}}).json()["network"]["id"]
        for name in ("", "", "shared", "router:external")
    )
    db.write(lambda tx: common.set_quietly(tx, Network, [shared], {"shared": True}))
    db.write(lambda tx: common.set_quietly(tx, Network, [external], {"external": True}))
    db.write(lambda tx: common.remove(tx, Network, [gone]))
    db.write(lambda tx: common.set_quietly(tx, Network, [closed], {"external": False}))
    loops.mend_sharing(cloud.control.cloud)

    def actions(key):
        return [each.action for each in store.of_object(db, key)]

    assert actions(shared) == ["access_as_shared"]
    assert actions(external) == ["access_as_external"]
    assert actions(gone) == actions(closed) == []
    assert not {shared, external, closed} & {
        finding.subject for finding in audit.audit(Look(cloud.control.cloud, "network"))
    }


def test_servers_know_what_is_shared_with_their_project(cloud, ask, people):
    db, other = cloud.control.cloud.db, people["OTHER_PROJECT_ID"]
    network = ask("MEMBER", "POST", "/networks", {"network": {}}).json()["network"]["id"]
    group = ask("MEMBER", "POST", "/security-groups", {"security_group": {"name": "lent"}}).json()["security_group"]

    def seen():
        return {each.id for each in lookups.networks_seen(db, other)}

    assert network not in seen()
    for kind, key in (("network", network), ("security_group", group["id"])):
        words = {"object_type": kind, "object_id": key, "target_tenant": other, "action": "access_as_shared"}
        assert ask("MEMBER", "POST", "/rbac-policies", {"rbac_policy": words}).status_code == 201
    assert network in seen()
    ctx = Context(project_id=other, roles=frozenset({"member", "reader"}))
    assert servers.group_by_name(db, ctx, "lent").id == group["id"]
    assert group["id"] not in {each.id for each in group_details.find_all(db, ctx, everywhere=False)}
    assert servers.check(db, ctx, [PortRequest(network_id=network)], ["lent"]) == [PortRequest(network_id=network)]
