# SPDX-License-Identifier: Apache-2.0
"""Two control planes on one PostgreSQL, as processes: whatever one has done the other knows, and goes on with."""

from __future__ import annotations

import os
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support import postgres
from support.guest import CHANGES, Guest
from support.killable import KillableCloud
from support.waiting import until

SERVERS = "/compute/v2.1/servers"
NETWORKS = "/network/v2.0/networks"


class User:
    """An administrator who speaks to one replica, by a token of its own or by a given one."""

    def __init__(self, cloud: KillableCloud, url: str, token: str = "") -> None:
        self._http = httpx.Client(base_url=url, timeout=60)
        token = token or log_in(self._http, {"name": "admin", "domain": {"id": "default"}}, cloud.admin_password)
        self._http.headers.update({"X-Auth-Token": token, "OpenStack-API-Version": "compute 2.96"})
        self.token = token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        answer = self._http.request(method, path, json=body, headers=headers)
        assert answer.status_code != 500, answer.text
        return answer

    def status(self, path: str) -> int:
        return self.ask("GET", path).status_code

    def make(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.ask("POST", path, body)
        assert answer.status_code < 300, answer.text
        return next(iter(answer.json().values()))

    def state_of(self, server_id: str) -> str:
        answer = self.ask("GET", f"{SERVERS}/{server_id}")
        return answer.json()["server"]["status"] if answer.status_code == 200 else "GONE"


def log_in(http: httpx.Client, user: dict[str, Any], password: str) -> str:
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    identity = {"methods": ["password"], "password": {"user": {**user, "password": password}}}
    answer = http.post("/identity/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
    assert answer.status_code == 201, answer.text
    return answer.headers["x-subject-token"]


@pytest.fixture(scope="module")
def server():
    started = postgres.Server()
    yield started
    started.close()


@pytest.fixture(scope="module")
def cloud(server, tmp_path_factory):
    running = KillableCloud(tmp_path_factory.mktemp("replicas"), server.new(), replicas=2, hosts=2)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def users(cloud):
    """One user a replica."""
    return [User(cloud, control.control_url) for control in cloud.controls]


@pytest.fixture(scope="module")
def wish(cloud, users):
    """What a server is asked for with."""
    one = users[0]
    flavor = one.make("/compute/v2.1/flavors", {"flavor": {"name": "small", "ram": 64, "vcpus": 1, "disk": 1}})
    images = f"{cloud.settings.data_url}/image/v2/images"
    image = one.ask("POST", images, {"name": "system", "disk_format": "raw", "container_format": "bare"}).json()["id"]
    headers = {"X-Auth-Token": one.token, "Content-Type": "application/octet-stream"}
    assert httpx.put(f"{images}/{image}/file", content=b"a system", headers=headers).status_code == 204
    network = one.make(NETWORKS, {"network": {"name": "wire"}})["id"]
    one.make("/network/v2.0/subnets", {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.1.0.0/16"}})
    return {"flavorRef": flavor["id"], "imageRef": image, "networks": [{"uuid": network}]}


@pytest.fixture(autouse=True)
def _no_bugs(cloud):
    """A refusal is an answer, a bug never is."""
    yield
    for name in cloud.replicas:
        words = (cloud.logs / f"{name}.log").read_text()
        assert "a bug:" not in words, words[words.index("a bug:") - 200 :][:3000]


def boot(user, wish, name):
    return user.make(SERVERS, {"server": {"name": name, **wish}})["id"]


def delete_all(user, servers):
    for server_id in servers:
        answer = user.ask("POST", f"{SERVERS}/{server_id}/action", {"forceDelete": None})
        assert answer.status_code in (202, 404), answer.text
    until(lambda: all(user.state_of(server_id) == "GONE" for server_id in servers))


def test_replicas_that_start_at_once_make_one_schema(cloud):
    migrated = [(cloud.logs / f"{name}.log").read_text().count("migrated kernel/0001") for name in cloud.replicas]
    assert sorted(migrated) == [0, 1]


def test_what_one_has_made_the_other_shows(users):
    one, two = users
    path = f"{NETWORKS}/{one.make(NETWORKS, {'network': {'name': 'shown'}})['id']}"
    assert two.ask("GET", path).json()["network"]["name"] == "shown"
    assert two.ask("DELETE", path).status_code == 204
    assert one.status(path) == 404


def test_the_end_of_a_token_is_known_everywhere_at_once(cloud, users):
    _, two = users
    token = User(cloud, cloud.controls[0].control_url).token
    holders = [User(cloud, control.control_url, token) for control in cloud.controls]
    assert [holder.status(SERVERS) for holder in holders] == [200, 200]
    assert two.ask("DELETE", "/identity/v3/auth/tokens", **{"X-Subject-Token": token}).status_code == 204
    assert [holder.status(SERVERS) for holder in holders] == [401, 401]


def test_a_role_that_is_taken_away_by_one_is_gone_from_the_other_s_tokens(cloud, users):
    one, _ = users
    password = uuid.uuid4().hex
    user = one.make("/identity/v3/users", {"user": {"name": f"guest-{password}", "password": password}})["id"]
    project = one.ask("GET", "/identity/v3/projects?name=admin").json()["projects"][0]["id"]
    role = one.ask("GET", "/identity/v3/roles?name=member").json()["roles"][0]["id"]
    grant = f"/identity/v3/projects/{project}/users/{user}/roles/{role}"
    assert one.ask("PUT", grant).status_code == 204
    url = cloud.controls[1].control_url
    guest = User(cloud, url, log_in(httpx.Client(base_url=url), {"id": user}, password))
    assert guest.status(SERVERS) == 200
    assert one.ask("DELETE", grant).status_code == 204
    assert guest.status(SERVERS) == 401


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_one_remembers_of_a_token_ends_when_another_changes_it(users, change):
    one, two = (user.ask for user in users)
    guest = Guest(one)
    before = [guest.told(ask) for ask in (one, two, two)]
    assert before[0][0] == 200
    assert before == [before[0]] * 3
    guest.suffer(change)
    after = [guest.told(ask) for ask in (two, one)]
    assert after[0] == after[1] != before[0]


def test_a_quota_holds_for_all_replicas_together(users):
    one, _ = users
    project = one.ask("GET", "/identity/v3/projects?name=admin").json()["projects"][0]["id"]
    have = len(one.ask("GET", f"{NETWORKS}?project_id={project}").json()["networks"])
    limits = f"/network/v2.0/quotas/{project}"
    assert one.ask("PUT", limits, {"quota": {"network": have + 5}}).status_code == 200
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(users[n % 2].ask, "POST", NETWORKS, {"network": {"name": f"many-{n}"}}) for n in range(24)]
    answers = [future.result() for future in asked]
    assert one.ask("DELETE", limits).status_code == 204
    made = [answer.json()["network"]["id"] for answer in answers if answer.status_code == 201]
    for network in made:
        one.ask("DELETE", f"{NETWORKS}/{network}")
    assert len(made) == 5
    assert {answer.status_code for answer in answers} == {201, 409}


def test_servers_are_made_by_whichever_replica_and_ended_by_the_other(users, wish):
    one, two = users
    servers = [boot(users[number % 2], wish, f"s{number}") for number in range(8)]
    until(lambda: all(one.state_of(server_id) == two.state_of(server_id) == "ACTIVE" for server_id in servers))
    delete_all(two, servers[::2])
    delete_all(one, servers[1::2])


def test_without_the_database_no_replica_is_ready_and_with_it_all_are_again(server, cloud, users, wish):
    paths = (SERVERS, NETWORKS, "/identity/v3/users", "/placement/traits", "/block-storage/v3/types")
    server.stop(signal.SIGQUIT)
    try:
        for user in users:
            assert user.status("/healthz") == 200
            readiness = user.ask("GET", "/readyz")
            assert (readiness.status_code, readiness.json()["parts"]["database"]) == (503, False)
            assert [user.status(path) for path in paths] == [503] * len(paths)
            assert user.ask("POST", NETWORKS, {"network": {"name": "never"}}).status_code == 503
    finally:
        server.start()
    until(cloud.is_ready)
    servers = [boot(user, wish, "after") for user in users]
    until(lambda: all(users[0].state_of(server_id) == "ACTIVE" for server_id in servers))
    delete_all(users[1], servers)


def test_the_work_of_a_frozen_replica_is_done_by_the_other_once(cloud, users, wish):
    one, two = users
    servers = [boot(two, wish, f"frozen-{number}") for number in range(6)]
    victim = cloud.pid("control-2")
    os.kill(victim, signal.SIGSTOP)
    try:
        until(lambda: all(one.state_of(server_id) == "ACTIVE" for server_id in servers))
    finally:
        os.kill(victim, signal.SIGCONT)
    until(cloud.is_ready)
    assert [two.state_of(server_id) for server_id in servers] == ["ACTIVE"] * 6
    delete_all(two, servers)


def test_the_work_of_a_killed_replica_is_done_by_the_other(cloud, users, wish):
    one, two = users
    servers = [boot(two, wish, f"killed-{number}") for number in range(6)]
    cloud.hold()
    try:
        cloud.kill("control-2")
        until(lambda: all(one.state_of(server_id) == "ACTIVE" for server_id in servers))
    finally:
        cloud.release()
    until(cloud.is_ready)
    delete_all(two, servers)
