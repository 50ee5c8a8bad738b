# SPDX-License-Identifier: Apache-2.0
"""What routers' ports and floating IPs say of themselves, as their hosts come and go."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from cumulet.kernel.db import Tx
from cumulet.services.network.logic import snapshot, statuses
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.store import common
from cumulet.services.network.types import ACTIVE, DOWN, ERROR, FloatingIp, Port
from support.people import environment
from support.waiting import until


class Scene:
    """A router between an inside and an outside network, on the cloud's only host, with a floating IP's two ends."""

    def __init__(self, cloud, client: httpx.Client) -> None:
        self.control, self.host, self.client = cloud.control.cloud, cloud.settings.host, client
        self.outside = self.make("network", **{"router:external": True})["id"]
        self.make("subnet", network_id=self.outside, ip_version=4, cidr="198.51.100.0/24")
        self.inside = self.make("network")["id"]
        self.subnet = self.make("subnet", network_id=self.inside, ip_version=4, cidr="10.67.0.0/24")["id"]
        self.port = self.make("port", network_id=self.inside)["id"]
        self.router = self.make("router", external_gateway_info={"network_id": self.outside})["id"]
        self.put(f"/routers/{self.router}/add_router_interface", subnet_id=self.subnet)

    def close(self) -> None:
        """Take all of it away: others count what the project has."""
        for floating in self.client.get("/floatingips", params={"router_id": self.router}).json()["floatingips"]:
            self.client.delete(f"/floatingips/{floating['id']}")
        self.put(f"/routers/{self.router}/remove_router_interface", subnet_id=self.subnet)
        for path in (f"/routers/{self.router}", f"/ports/{self.port}", f"/networks/{self.inside}"):
            assert self.client.delete(path).status_code in (204, 404)
        assert self.client.delete(f"/networks/{self.outside}").status_code == 204

    def make(self, kind: str, **words: object) -> dict:
        answer = self.client.post(f"/{kind}s", json={kind: words})
        assert answer.status_code == 201, answer.text
        return answer.json()[kind]

    def put(self, path: str, **body: object) -> dict:
        answer = self.client.put(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def float(self) -> dict:
        return self.make("floatingip", floating_network_id=self.outside, port_id=self.port)

    def shown(self, key: str) -> str:
        return self.client.get(f"/floatingips/{key}").json()["floatingip"]["status"]

    def legs(self) -> set[str]:
        found = self.client.get("/ports", params={"device_id": self.router}).json()["ports"]
        assert len(found) == 2
        return {port["status"] for port in found}

    def floats_there(self) -> list[str]:
        """The floating addresses that the host has for the router."""
        has = self.control.hosts.call(self.host, "host.inventory", {}, timeout=10)
        state = has["network"]["state"]
        return [each["address"] for one in state["routers"] if one["id"] == self.router for each in one["floating"]]

    def due(self, failed: set[str]) -> statuses.Due | None:
        rows = snapshot.take(self.control, self.host)
        rows.routers = [router for router in rows.routers if router.id == self.router]
        return statuses.due(self.host, rows, compile_host(rows), failed)


@pytest.fixture
def scene(cloud):
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30) as client:
        found = Scene(cloud, client)
        yield found
        found.close()


def test_they_come_up_once_the_host_has_them(scene):
    floating = scene.float()
    assert floating["status"] == DOWN
    until(lambda: scene.shown(floating["id"]) == ACTIVE)
    until(lambda: scene.legs() == {ACTIVE})
    assert scene.due(set()) is None
    freed = scene.put(f"/floatingips/{floating['id']}", floatingip={"port_id": None})["floatingip"]
    assert freed["status"] == DOWN
    back = {"floatingip": {"port_id": scene.port}}
    assert scene.put(f"/floatingips/{floating['id']}", **back)["floatingip"]["status"] == DOWN
    until(lambda: scene.shown(floating["id"]) == ACTIVE)


def test_ports_of_a_router_that_is_nowhere_are_down(scene):
    until(lambda: scene.legs() == {ACTIVE})
    agents = scene.client.get("/agents", params={"host": scene.host}).json()["agents"]
    agent = next(one["id"] for one in agents if one["agent_type"] == "L3 agent")
    assert scene.client.delete(f"/agents/{agent}/l3-routers/{scene.router}").status_code == 204
    assert scene.legs() == {DOWN}
    floating = scene.float()
    assert scene.client.post(f"/agents/{agent}/l3-routers", json={"router_id": scene.router}).status_code == 201
    until(lambda: scene.legs() == {ACTIVE})
    until(lambda: scene.shown(floating["id"]) == ACTIVE)


def test_ports_of_a_router_that_is_switched_off_are_down(scene):
    until(lambda: scene.legs() == {ACTIVE})
    scene.put(f"/routers/{scene.router}", router={"admin_state_up": False})
    until(lambda: scene.legs() == {DOWN})
    scene.put(f"/routers/{scene.router}", router={"admin_state_up": True})
    until(lambda: scene.legs() == {ACTIVE})


def test_what_the_host_could_not_make_is_in_error(scene):
    floating = scene.float()["id"]
    until(lambda: scene.shown(floating) == ACTIVE)
    until(lambda: scene.legs() == {ACTIVE})
    news = scene.due({scene.router})
    assert news is not None
    assert set(news.ports.values()) == {DOWN}
    assert [status for _, status in news.floating.values()] == [ERROR]
    scene.control.db.write(lambda tx: _fails_and_mends(tx, scene.host, news))


def _fails_and_mends(tx: Tx, host: str, news: statuses.Due) -> None:
    """All in one transaction, since the host itself, which has made everything, may say so at any time."""
    [floating] = news.floating
    row, _ = news.floating[floating]
    statuses.note(tx, host, news)
    assert _shown(tx, news) == ({DOWN}, {ERROR})
    mended = statuses.Due(ports=dict.fromkeys(news.ports, ACTIVE), floating={floating: (row, ACTIVE)})
    elsewhere = msgspec.structs.replace(row, fixed_ip_address="10.67.0.99")
    statuses.note(tx, "another host", mended)
    statuses.note(tx, host, msgspec.structs.replace(mended, floating={floating: (elsewhere, ACTIVE)}))
    assert _shown(tx, news) == ({ACTIVE}, {ERROR}), "it has changed since, or is another host's"
    statuses.note(tx, host, mended)
    assert _shown(tx, news) == ({ACTIVE}, {ACTIVE})


def _shown(tx: Tx, news: statuses.Due) -> tuple[set[str], set[str]]:
    """The statuses of the ports and of the floating IPs."""
    ports, floating = common.by_id(tx, Port, news.ports), common.by_id(tx, FloatingIp, news.floating)
    return {row.status for row in ports.values()}, {row.status for row in floating.values()}


def test_the_routers_host_hears_that_a_port_is_gone_which_was_nowhere(scene):
    floating = scene.float()
    until(lambda: scene.shown(floating["id"]) == ACTIVE)
    until(lambda: scene.floats_there() == [floating["floating_ip_address"]])
    assert scene.client.delete(f"/ports/{scene.port}").status_code == 204
    until(lambda: scene.floats_there() == [])
    assert scene.shown(floating["id"]) == DOWN
