# SPDX-License-Identifier: Apache-2.0
"""Whatever is made, changed and removed in whatever order, nothing breaks, and addresses stay with one owner each."""

from __future__ import annotations

import random
from typing import Any

import httpx
import pytest

from support.cloud import RunningCloud
from support.people import environment

STEPS = 300
COLLECTIONS = (
    "networks",
    "subnets",
    "ports",
    "routers",
    "floatingips",
    "security-groups",
    "security-group-rules",
    "address-groups",
)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A cloud of its own: the walk removes whatever it finds."""
    running = RunningCloud(tmp_path_factory.mktemp("walk"))
    yield running
    running.close()


class Walker:
    """Acts at random on what there is, as an administrator, in a project of its own."""

    def __init__(self, client: httpx.Client, seed: int) -> None:
        self.client = client
        self.dice = random.Random(seed)

    def ids(self, collection: str, **query: Any) -> list[str]:
        items = self.client.get(f"/{collection}", params=query).json()[collection.replace("-", "_")]
        return [item["id"] for item in items]

    def any(self, collection: str, **query: Any) -> str:
        found = self.ids(collection, **query)
        return self.dice.choice(found) if found else "00000000-0000-4000-8000-000000000000"

    def cidr(self) -> str:
        return f"10.{self.dice.randrange(4)}.{self.dice.randrange(8)}.0/{self.dice.choice([24, 28, 30])}"

    def step(self) -> httpx.Response:
        acts = (
            self.network, self.subnet, self.subnet, self.port, self.port, self.router, self.interface, self.interface,
            self.gateway, self.floating, self.associate, self.associate, self.group, self.rule, self.change_port,
            self.change_group, self.addresses, self.admit, self.leave, self.remove, self.remove, self.remove,
        )  # fmt: skip
        return self.dice.choice(acts)()

    def network(self) -> httpx.Response:
        return self.client.post("/networks", json={"network": {"router:external": self.dice.random() < 0.4}})

    def subnet(self) -> httpx.Response:
        body = {"network_id": self.any("networks"), "ip_version": 4, "cidr": self.cidr()}
        return self.client.post("/subnets", json={"subnet": {**body, "enable_dhcp": self.dice.random() < 0.5}})

    def port(self) -> httpx.Response:
        return self.client.post("/ports", json={"port": {"network_id": self.any("networks")}})

    def router(self) -> httpx.Response:
        return self.client.post("/routers", json={"router": {}})

    def interface(self) -> httpx.Response:
        kind = self.dice.choice([("subnets", "subnet_id"), ("ports", "port_id")])
        path = f"/routers/{self.any('routers')}/add_router_interface"
        return self.client.put(path, json={kind[1]: self.any(kind[0])})

    def leave(self) -> httpx.Response:
        path = f"/routers/{self.any('routers')}/remove_router_interface"
        return self.client.put(path, json={"subnet_id": self.any("subnets")})

    def gateway(self) -> httpx.Response:
        info = {"network_id": self.any("networks", **{"router:external": True})} if self.dice.random() < 0.8 else None
        return self.client.put(f"/routers/{self.any('routers')}", json={"router": {"external_gateway_info": info}})

    def floating(self) -> httpx.Response:
        outside = self.any("networks", **{"router:external": True})
        return self.client.post("/floatingips", json={"floatingip": {"floating_network_id": outside}})

    def associate(self) -> httpx.Response:
        port = self.any("ports") if self.dice.random() < 0.8 else None
        return self.client.put(f"/floatingips/{self.any('floatingips')}", json={"floatingip": {"port_id": port}})

    def group(self) -> httpx.Response:
        return self.client.post("/security-groups", json={"security_group": {"stateful": self.dice.random() < 0.6}})

    def change_group(self) -> httpx.Response:
        words = {"stateful": self.dice.random() < 0.5}
        return self.client.put(f"/security-groups/{self.any('security-groups')}", json={"security_group": words})

    def addresses(self) -> httpx.Response:
        verb, key = self.dice.choice(["add", "remove"]), self.any("address-groups")
        if self.dice.random() < 0.4:
            return self.client.post("/address-groups", json={"address_group": {"addresses": [self.cidr()]}})
        return self.client.put(f"/address-groups/{key}/{verb}_addresses", json={"addresses": [self.cidr()]})

    def admit(self) -> httpx.Response:
        body = {
            "security_group_id": self.any("security-groups"),
            "remote_address_group_id": self.any("address-groups"),
            "direction": "ingress",
        }
        return self.client.post("/security-group-rules", json={"security_group_rule": body})

    def rule(self) -> httpx.Response:
        body = {
            "security_group_id": self.any("security-groups"),
            "remote_group_id": self.any("security-groups"),
            "direction": "ingress",
        }
        return self.client.post("/security-group-rules", json={"security_group_rule": body})

    def change_port(self) -> httpx.Response:
        words = self.dice.choice(
            [
                {"security_groups": [self.any("security-groups")]},
                {"security_groups": [self.any("security-groups"), self.any("security-groups")]},
                {"fixed_ips": [{"subnet_id": self.any("subnets")}]},
                {"fixed_ips": []},
                {"device_owner": "compute:nova", "device_id": "x", "binding:host_id": "host-1"},
                {"port_security_enabled": False, "security_groups": []},
            ]
        )
        return self.client.put(f"/ports/{self.any('ports')}", json={"port": words})

    def remove(self) -> httpx.Response:
        collection = self.dice.choice(COLLECTIONS)
        return self.client.delete(f"/{collection}/{self.any(collection)}")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_walk_breaks_nothing(cloud, seed):
    words = environment(cloud)
    headers = {"x-auth-token": words["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30) as client:
        for name in ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule"):
            client.put(f"/quotas/{words['ADMIN_PROJECT_ID']}", json={"quota": {name: -1}})
        walker = Walker(client, seed)
        for number in range(STEPS):
            answer = walker.step()
            assert answer.status_code < 500, (number, answer.request.method, answer.request.url, answer.text)
        check(client)
        clear(client)


def check(client: httpx.Client) -> None:
    """Every address has one port, every floating address a way to the port that it stands for."""
    ports = {port["id"]: port for port in client.get("/ports").json()["ports"]}
    held = [(fixed["subnet_id"], fixed["ip_address"]) for port in ports.values() for fixed in port["fixed_ips"]]
    assert len(held) == len(set(held))
    subnets = {subnet["id"] for subnet in client.get("/subnets").json()["subnets"]}
    assert {subnet for subnet, _ in held} <= subnets
    kinds = {group["id"]: group["stateful"] for group in client.get("/security-groups").json()["security_groups"]}
    assert all(len({kinds[key] for key in port["security_groups"]}) <= 1 for port in ports.values())
    rules = client.get("/security-group-rules").json()["security_group_rules"]
    named = {rule["remote_address_group_id"] for rule in rules}
    assert named - {None} <= {group["id"] for group in client.get("/address-groups").json()["address_groups"]}
    routers = {router["id"] for router in client.get("/routers").json()["routers"]}
    for port in ports.values():
        if port["device_owner"] in ("network:router_interface", "network:router_gateway"):
            assert port["device_id"] in routers, port
    for floating in client.get("/floatingips").json()["floatingips"]:
        if floating["port_id"] is not None:
            fixed = {one["ip_address"] for one in ports[floating["port_id"]]["fixed_ips"]}
            assert floating["fixed_ip_address"] in fixed, floating
            assert floating["router_id"] in routers


def clear(client: httpx.Client) -> None:
    """Take everything away, by the ways that users have; nothing may be left."""
    for floating in client.get("/floatingips").json()["floatingips"]:
        assert client.delete(f"/floatingips/{floating['id']}").status_code == 204
    for port in client.get("/ports", params={"device_owner": "network:router_interface"}).json()["ports"]:
        path = f"/routers/{port['device_id']}/remove_router_interface"
        client.put(f"/routers/{port['device_id']}", json={"router": {"routes": []}})
        assert client.put(path, json={"port_id": port["id"]}).status_code == 200
    for router in client.get("/routers").json()["routers"]:
        assert client.delete(f"/routers/{router['id']}").status_code == 204
    for port in client.get("/ports").json()["ports"]:
        assert client.delete(f"/ports/{port['id']}").status_code == 204
    for network in client.get("/networks").json()["networks"]:
        assert client.delete(f"/networks/{network['id']}").status_code == 204
    assert client.get("/subnets").json()["subnets"] == []
