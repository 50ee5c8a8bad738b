# SPDX-License-Identifier: Apache-2.0
"""Pages that the database cuts are the pages of the whole list, whatever is asked; and cost what they hold."""

from __future__ import annotations

import random
import uuid
from functools import cached_property
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from cumulet.services.network import api
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.store import kinds, lists
from support.people import environment

PORTS = 37
ORDERS = ((), ("name",), ("status", "name"), ("device_id",), ("mac_address",), ("admin_state_up", "device_owner"))
FILTERS = (
    {}, {"admin_state_up": "true"}, {"device_id": "one"}, {"tags": "red"}, {"tags-any": "red,a%_\"b"},
    {"not-tags": "red"}, {"fixed_ips": "ip_address_substr=.1"}, {"tags": "Red"}, {"status": "DOWN"},
    {"changed_since": "2020-01-01T00:00:00Z"}, {"device_id": ""},
)  # fmt: skip


class World:
    """Ports that differ in all that lists can ask for, and somebody who asks."""

    def __init__(self, cloud) -> None:
        people = environment(cloud)
        headers = {"x-auth-token": people["MEMBER_TOKEN"]}
        self.client = httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=60)
        network = self._post("/networks", "network", {"name": uuid.uuid4().hex})
        self.subnet = self._post("/subnets", "subnet", {"network_id": network, "ip_version": 4, "cidr": "10.3.0.0/24"})
        self.network = network
        for number in range(PORTS):
            words = {
                "network_id": network, "name": "abc"[number % 3] * (number % 5), "admin_state_up": number % 4 != 0,
                "device_id": ("", "one", "Two", "three")[number % 4],
                "tags": [["red"], ["a%_\"b", "Red"], []][number % 3],
            }  # fmt: skip
            self._post("/ports", "port", words)

    def _post(self, path, key, words):
        answer = self.client.post(path, json={key: words})
        assert answer.status_code == 201, answer.text
        return answer.json()[key]["id"]

    def ports(self, query):
        answer = self.client.get(f"/ports?{urlencode([('network_id', self.network), *query])}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    @cached_property
    def all(self):
        return self.ports([])["ports"]


@pytest.fixture(scope="module")
def world(cloud):
    made = World(cloud)
    yield made
    made.client.close()


def asked(chance):
    """Some words of a list: filters and an order."""
    order = [(key, chance.choice(("asc", "desc"))) for key in chance.choice(ORDERS)]
    sorts = [pair for key, way in order for pair in (("sort_key", key), ("sort_dir", way))]
    return [*chance.choice(FILTERS).items(), *sorts]


@pytest.mark.parametrize("seed", range(40))
def test_pages_are_those_of_the_whole_list(world, seed):
    chance = random.Random(seed)
    words, limit = asked(chance), chance.randint(1, PORTS + 2)
    whole = [port["id"] for port in world.ports(words)["ports"]]
    assert len(set(whole)) == len(whole)
    for backwards in (False, True):
        found, query = [], [*words, ("limit", limit), *([("page_reverse", "true")] if backwards else [])]
        while True:
            answer = world.ports(query)
            page = [port["id"] for port in answer["ports"]]
            assert len(page) <= limit
            found = [*page, *found] if backwards else [*found, *page]
            rel = "previous" if backwards else "next"
            links = [link["href"] for link in answer.get("ports_links", ()) if link["rel"] == rel]
            if not links or not page:
                break
            query = [
                pair for pair in parse_qsl(urlsplit(links[0]).query, keep_blank_values=True) if pair[0] != "network_id"
            ]
        assert found == whole, (words, limit, backwards)


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_filters_of_the_database_agree_with_those_of_items(world, filters):
    """What is left out by a query would be left out by its filter, judged port by port."""
    found = [port["id"] for port in world.ports(filters.items())["ports"]]
    single = [port["id"] for port in world.all if world.ports([("id", port["id"]), *filters.items()])["ports"]]
    assert found == single


def test_a_page_begins_behind_what_the_filters_leave_out(world):
    """A marker has to be there for who asks, and need not fit, as in Neutron."""
    marker = next(port["id"] for port in world.all if port["device_id"] == "one")
    answer = world.ports([("device_id", "three"), ("limit", 100), ("marker", marker)])
    behind = [port["id"] for port in world.all[[port["id"] for port in world.all].index(marker) + 1 :]]
    assert [port["id"] for port in answer["ports"]] == [
        port["id"] for port in world.all if port["device_id"] == "three" and port["id"] in behind
    ]


def test_words_that_are_no_address_are_refused(world):
    answer = world.client.get("/ports?fixed_ips=ip_address")
    assert answer.status_code == 400
    assert answer.json()["NeutronError"]["type"] == "InvalidInput"


def resources() -> list[Resource]:
    found = [each for each in api._RESOURCES if type(each).rows is Resource.rows]
    return sorted(found, key=lambda each: each.collection)


@pytest.mark.parametrize("resource", resources(), ids=lambda each: each.collection)
def test_what_the_database_compares_is_what_is_shown(cloud, world, resource):
    """Columns that filters and orders go by hold the very values of the attributes of their names."""
    db = cloud.control.cloud.db
    columns = [column.name for column in kinds.of(resource.kind).table.c if column.name in lists.SAME]
    rows = lists.find(db, None, resource.kind, True)[:50]
    for row, item in zip(rows, resource.items(db, rows), strict=True):
        for name in set(columns) & set(resource.known):
            assert (name, type(getattr(row, name)), getattr(row, name)) == (name, type(item[name]), item[name])
