# SPDX-License-Identifier: Apache-2.0
"""What becomes of trunks whose ports go with their servers."""

from __future__ import annotations

import httpx
import pytest

from cumulet.kernel.audit import Look
from cumulet.services.network import audit
from cumulet.services.network.logic import ports as logic
from cumulet.services.network.store import common
from cumulet.services.network.store import trunks as store
from cumulet.services.network.types import Port
from support.people import environment


@pytest.fixture(scope="module")
def client(cloud):
    headers = {"x-auth-token": environment(cloud)["MEMBER_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30) as found:
        yield found


@pytest.fixture
def db(cloud):
    return cloud.control.cloud.db


@pytest.fixture
def trunk(client):
    """A trunk with two subports, as it is shown."""
    network = client.post("/networks", json={"network": {}}).json()["network"]["id"]
    keys = [client.post("/ports", json={"port": {"network_id": network}}).json()["port"]["id"] for _ in range(3)]
    subports = [
        {"port_id": key, "segmentation_type": "vlan", "segmentation_id": tag} for tag, key in enumerate(keys[1:], 7)
    ]
    answer = client.post("/trunks", json={"trunk": {"port_id": keys[0], "sub_ports": subports}})
    return answer.json()["trunk"]


def _take(db, key):
    """What compute does to a port that it made, when the server goes."""
    db.write(lambda tx: logic.remove(tx, common.find_all(tx, Port, id=[key])))


def test_a_trunk_goes_with_its_parent(client, db, trunk):
    _take(db, trunk["port_id"])
    assert client.get(f"/trunks/{trunk['id']}").status_code == 404
    for each in trunk["sub_ports"]:
        assert client.delete(f"/ports/{each['port_id']}").status_code == 204


def test_a_subport_leaves_its_trunk(client, db, trunk):
    gone, stays = (each["port_id"] for each in trunk["sub_ports"])
    _take(db, gone)
    shown = client.get(f"/trunks/{trunk['id']}").json()["trunk"]
    assert [each["port_id"] for each in shown["sub_ports"]] == [stays]


def test_what_ports_and_trunks_say_of_each_other_is_looked_at(cloud, db, trunk):
    def found():
        return {finding.subject for finding in audit.audit(Look(cloud.control.cloud, "network"))}

    first, second = (each["port_id"] for each in trunk["sub_ports"])
    assert not {first, second, trunk["port_id"]} & found()
    db.write(lambda tx: common.set_quietly(tx, Port, [first], {"trunk_id": None}))
    db.write(lambda tx: store.remove(tx, [second]))
    assert {first, second} <= found()
    db.write(lambda tx: common.set_quietly(tx, Port, [second], {"trunk_id": None}))
    db.write(lambda tx: common.set_quietly(tx, Port, [first], {"trunk_id": trunk["id"]}))
