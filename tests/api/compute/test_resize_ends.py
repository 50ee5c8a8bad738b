# SPDX-License-Identifier: Apache-2.0
"""How resizes end that nobody speaks of, what is asked while a host is away, and tasks that nobody carries on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from cumulet.kernel import clock, ids
from cumulet.services.compute.logic import hosts, resize, stuck
from cumulet.services.compute.store import servers as store
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

DISK = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}


class User:
    """An administrator with a server that boots from a volume, and two flavors for it."""

    def __init__(self, cloud: RunningCloud, http: httpx.Client) -> None:
        self.cloud, self._http = cloud, http
        self.flavors = [self._flavor(ram) for ram in (64, 128)]
        words = {
            "name": "one",
            "flavorRef": self.flavors[0],
            "networks": "none",
            "imageRef": "",
            "block_device_mapping_v2": [{**DISK, "boot_index": 0}],
        }
        self.server = self.ask("POST", "/servers", {"server": words})["server"]["id"]

    def ask(self, method: str, path: str, body: Any = None, status: int | None = None) -> Any:
        answer = self._http.request(method, path, json=body)
        assert answer.status_code == status if status else answer.is_success, answer.text
        return answer.json() if answer.content else None

    def act(self, name: str, body: Any = None, status: int | None = None) -> Any:
        return self.ask("POST", f"/servers/{self.server}/action", {name: body}, status)

    def look(self) -> Any:
        return self.ask("GET", f"/servers/{self.server}")["server"]

    def has_become(self, status: str) -> None:
        """Wait for the status, with nothing under way."""
        until(lambda: (found := self.look())["status"] == status and found["OS-EXT-STS:task_state"] is None)

    def is_resized(self, number: int) -> None:
        self.act("resize", {"flavorRef": self.flavors[number]})
        self.has_become("VERIFY_RESIZE")

    def migration(self) -> Any:
        """The newest one."""
        return self.ask("GET", f"/os-migrations?instance_uuid={self.server}&limit=1")["migrations"][0]

    def say(self, **changes: Any) -> None:
        """Write into the server's row, as of long ago."""
        values = {"updated_at": clock.utcnow() - timedelta(hours=1), **changes}
        self.cloud.control.cloud.db.write(lambda tx: store.change(tx, self.server, values))

    def _flavor(self, ram: int) -> str:
        flavor = {"name": f"resized-{ids.new_uuid()}", "ram": ram, "vcpus": 1, "disk": 0}
        return str(self.ask("POST", "/flavors", {"flavor": flavor})["flavor"]["id"])


@pytest.fixture(scope="module")
def user(cloud: RunningCloud) -> Iterator[User]:
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"], "openstack-api-version": "compute 2.95"}
    with httpx.Client(base_url=f"{cloud.control_url}/compute/v2.1", headers=headers, timeout=60) as http:
        made = User(cloud, http)
        yield made
        http.delete(f"/servers/{made.server}")


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Calling it makes every host seem to be away for the rest of the test."""
    return lambda: monkeypatch.setattr(hosts, "is_up", lambda cloud, host: False)


def test_a_resize_that_nobody_confirms_is_confirmed(user: User) -> None:
    user.has_become("ACTIVE")
    user.is_resized(1)
    control = user.cloud.control.cloud
    resize.confirm_old(control)
    resize.confirm_older(control, clock.utcnow() - timedelta(hours=1))
    assert user.look()["OS-EXT-STS:vm_state"] == "resized"
    resize.confirm_older(control, clock.utcnow() + timedelta(seconds=1))
    user.has_become("ACTIVE")
    assert user.migration()["status"] == "confirmed"
    assert user.ask("GET", f"/servers/{user.server}/os-instance-actions")["instanceActions"][0]["action"] == (
        "confirmResize"
    )


def test_a_resize_of_a_server_that_was_reset_is_given_up(user: User) -> None:
    user.is_resized(0)
    user.act("os-resetState", {"state": "active"})
    assert user.act("revertResize", status=409)
    resize.confirm_older(user.cloud.control.cloud, clock.utcnow() + timedelta(seconds=1))
    assert user.migration()["status"] == "error"


def test_the_next_resize_ends_one_that_was_left(user: User) -> None:
    user.is_resized(1)
    user.act("os-resetState", {"state": "active"})
    left = user.migration()["uuid"]
    user.is_resized(0)
    found = user.ask("GET", f"/os-migrations?instance_uuid={user.server}")["migrations"]
    assert {each["uuid"]: each["status"] for each in found}[left] == "confirmed"
    user.act("revertResize")
    user.has_become("ACTIVE")
    assert user.look()["flavor"]["ram"] == 128


def test_nothing_is_resized_while_the_host_is_away(user: User, away: Callable[[], None]) -> None:
    user.is_resized(0)
    away()
    refused = user.act("confirmResize", status=409)
    assert refused["conflictingRequest"]["message"] == "Service is unavailable at this time."
    user.act("revertResize")
    user.has_become("ACTIVE")
    for name, body in (("resize", {"flavorRef": user.flavors[0]}), ("migrate", None)):
        refused = user.act(name, body, status=409)
        assert refused["conflictingRequest"]["message"] == "Service is unavailable at this time."
    user.act("os-migrateLive", {"block_migration": "auto", "host": None})
    assert user.migration()["migration_type"] == "live-migration"
    user.has_become("ACTIVE")


def test_a_resized_server_that_is_deleted_for_now_comes_back_confirmed(user: User) -> None:
    user.is_resized(0)
    control = user.cloud.control.cloud
    user.say(task_state="soft-deleting")
    stuck.heal(control)
    until(lambda: user.look()["status"] == "SOFT_DELETED")
    assert user.migration()["status"] == "confirmed"
    user.act("restore")
    user.has_become("ACTIVE")
    assert user.look()["flavor"]["ram"] == 64


def test_an_evacuation_finds_no_host(user: User, away: Callable[[], None]) -> None:
    away()
    user.act("evacuate", {}, status=200)
    found = user.look()
    assert (found["status"], found["fault"]["code"]) == ("ERROR", 500)
    assert found["fault"]["message"] == "No valid host was found. There are not enough hosts available."
    assert (user.migration()["migration_type"], user.migration()["status"]) == ("evacuation", "error")
    user.act("os-resetState", {"state": "active"})


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"task_state": "powering-off"}, "ACTIVE"),
        ({"vm_state": "resized", "task_state": "resize_reverting"}, "ERROR"),
        ({"vm_state": "building", "task_state": None}, "ERROR"),
    ],
)
def test_a_task_that_nobody_carries_on_is_ended(user: User, said: dict[str, Any], found: str) -> None:
    user.say(**{"vm_state": "active", **said})
    stuck.heal(user.cloud.control.cloud)
    assert (user.look()["status"], user.look()["OS-EXT-STS:task_state"]) == (found, None)
    user.say(vm_state="active", task_state=None)


def test_a_task_of_which_something_was_heard_lately_is_left_alone(user: User) -> None:
    user.say(task_state="pausing", updated_at=clock.utcnow())
    stuck.heal(user.cloud.control.cloud)
    assert user.look()["OS-EXT-STS:task_state"] == "pausing"
    user.say(task_state=None)


def test_a_deletion_that_nobody_carries_on_goes_on(user: User) -> None:
    user.say(task_state="deleting")
    stuck.heal(user.cloud.control.cloud)
    until(lambda: store.find(user.cloud.control.cloud.db, user.server) is None)
