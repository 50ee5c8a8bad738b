# SPDX-License-Identifier: Apache-2.0
"""From labels to what routers count, and from there to notifications, each count told once."""

from __future__ import annotations

import time

import httpx
import pytest

from cumulet.kernel import clock as rows_clock
from cumulet.kernel.audit import Look
from cumulet.kernel.errors import NotReady
from cumulet.kernel.link.host import Journal
from cumulet.services.network.agent import meters as agent
from cumulet.services.network.agent.meters import Meters
from cumulet.services.network.audit import audit
from cumulet.services.network.drivers.fake import FakeFabric
from cumulet.services.network.logic import concern, metering, snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.store import common
from cumulet.services.network.types import HostState, RouterState
from cumulet.services.network.types.metering import MeteringLabel, MeteringLabelRule
from cumulet.services.network.types.meters import MeterRuleState, MeterState
from support.people import environment

ROUTER = RouterState(id="r1", meters=[MeterState(id="l1", project_id="p1", rules=[MeterRuleState(direction="egress")])])
STATE = HostState(generation=1, routers=[ROUTER])


def test_routers_are_told_of_their_projects_labels_and_of_shared_ones(cloud):
    people = environment(cloud)
    control, host = cloud.control.cloud, cloud.settings.host
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", timeout=30) as client:

        def make(who: str, kind: str, path: str, **words: object) -> str:
            headers = {"x-auth-token": people[who]}
            answer = client.post(path, json={kind: words}, headers=headers)
            assert answer.status_code == 201, answer.text
            return str(answer.json()[kind]["id"])

        outside = make("ADMIN_TOKEN", "network", "/networks", **{"router:external": True})
        cidr = {"ip_version": 4, "cidr": "198.51.100.0/24", "enable_dhcp": False}
        make("ADMIN_TOKEN", "subnet", "/subnets", network_id=outside, **cidr)
        router = make("MEMBER_TOKEN", "router", "/routers", external_gateway_info={"network_id": outside})

        def told() -> dict[str, MeterState]:
            state = compile_host(snapshot.take(control, host))
            return {meter.id: meter for one in state.routers if one.id == router for meter in one.meters}

        own = make("MANAGER_TOKEN", "metering_label", "/metering/metering-labels")
        words = {"metering_label_id": own, "direction": "ingress"}
        rule = make(
            "MANAGER_TOKEN",
            "metering_label_rule",
            "/metering/metering-label-rules",
            remote_ip_prefix="10.0.0.0/8",
            **words,
        )
        found = told()[own]
        assert (found.project_id, found.rules) == (
            people["PROJECT_ID"],
            [MeterRuleState(direction="ingress", destination="10.0.0.0/8")],
        )
        assert concern.of(control.db, MeteringLabel, [own]) == {host}
        assert concern.of(control.db, MeteringLabelRule, [rule]) == {host}
        others = make("ADMIN_TOKEN", "metering_label", "/metering/metering-labels", project_id="nobody")
        shared = make("ADMIN_TOKEN", "metering_label", "/metering/metering-labels", project_id="nobody", shared=True)
        assert others not in told()
        assert told()[shared].project_id == people["PROJECT_ID"]
        assert concern.of(control.db, MeteringLabel, [others]) == set()
        for key in (own, others, shared):
            client.delete(f"/metering/metering-labels/{key}", headers={"x-auth-token": people["ADMIN_TOKEN"]})
        assert not told().keys() & {own, others, shared}


def test_a_report_becomes_notifications_once(cloud):
    control = cloud.control.cloud
    heard: list[dict] = []
    control.outbox.subscribe("l3.meter", lambda event: heard.append(event.payload))
    counted = {"label_id": "label-1", "project_id": "p", "pkts": 3, "bytes": 84, "time": 30}
    said = [{**counted, "first_update": 1000, "last_update": 1030}]
    for batch in ("b1", "b1", "b2", "b2"):
        metering.reported(control, "host-of-this-test", batch, said)
    metering.reported(control, "host-of-this-test", "b3", [])

    def here() -> list[dict]:
        return [payload for payload in heard if payload["label_id"] == "label-1"]

    end = time.monotonic() + 20
    while len(here()) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert here() == [{**said[0], "tenant_id": "p", "host": "host-of-this-test"}] * 2


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(agent.time, "time", lambda: now[0])
    return now


class Control:
    """Takes reports, or is away."""

    def __init__(self) -> None:
        self.away = False
        self.taken: dict[str, list[dict]] = {}

    def __call__(self, verb: str, body: dict, timeout: float) -> None:
        assert verb == "network.meters"
        if self.away:
            raise NotReady("there is no link")
        self.taken.setdefault(body["batch"], body["meters"])

    def total(self) -> int:
        return sum(each["pkts"] for batch in self.taken.values() for each in batch)


def book(tmp_path, fabric: FakeFabric, control: Control) -> Meters:
    made = Meters(fabric, Journal(tmp_path), control, every=60, report=300)
    made.follow(fabric._state.routers)
    return made


def send(fabric: FakeFabric, count: int) -> None:
    for _ in range(count):
        fabric.forward("r1", "egress", "10.0.0.5", "192.0.2.1", 100)


def test_counts_are_added_up_and_told_once(tmp_path, clock):
    fabric, control = FakeFabric(lambda _: None), Control()
    fabric.apply(STATE)
    meters = book(tmp_path, fabric, control)
    meters.collect()
    assert [each["pkts"] for batch in control.taken.values() for each in batch] == [0]
    send(fabric, 2)
    clock[0] += 30
    meters.collect()
    send(fabric, 1)
    clock[0] += 270
    meters.collect()
    assert list(control.taken.values())[-1] == [
        {
            "label_id": "l1",
            "project_id": "p1",
            "pkts": 3,
            "bytes": 300,
            "time": 300,
            "first_update": 1000,
            "last_update": 1300,
        }
    ]
    clock[0] += 300
    meters.collect()
    assert control.total() == 3
    meters.stop()


def test_a_restart_counts_nothing_twice(tmp_path, clock):
    fabric, control = FakeFabric(lambda _: None), Control()
    fabric.apply(STATE)
    first = book(tmp_path, fabric, control)
    send(fabric, 5)
    control.away = True
    clock[0] += 300
    with pytest.raises(NotReady):
        first.collect()
    first.stop()
    send(fabric, 1)
    control.away = False
    again = book(tmp_path, fabric, control)
    again.collect()
    assert control.total() == 5
    clock[0] += 300
    again.collect()
    assert control.total() == 6
    again.stop()


def test_counters_that_begin_anew_are_counted_whole(tmp_path, clock):
    old, control = FakeFabric(lambda _: None), Control()
    old.apply(STATE)
    first = book(tmp_path, old, control)
    send(old, 2)
    first.collect()
    first.stop()
    new = FakeFabric(lambda _: None)  # the machine has started again
    new.apply(STATE)
    again = book(tmp_path, new, control)
    send(new, 3)
    clock[0] += 300
    again.collect()
    assert control.total() == 5
    again.stop()


def test_a_label_that_goes_is_read_before(tmp_path, clock):
    fabric, control = FakeFabric(lambda _: None), Control()
    fabric.apply(STATE)
    meters = book(tmp_path, fabric, control)
    meters.collect()
    send(fabric, 4)
    meters.follow([])
    fabric.apply(HostState(generation=2))
    clock[0] += 300
    meters.collect()
    assert control.total() == 4
    clock[0] += 900
    meters.collect()
    meters.collect()
    assert control.total() == 4
    assert Meters(fabric, Journal(tmp_path), control, every=1, report=1)._book.sums == {}
    meters.stop()


def test_the_audit_sees_rules_that_say_nothing(cloud):
    control = cloud.control.cloud
    now = rows_clock.utcnow()
    label = MeteringLabel("audit-label", "nobody", "", False, "", 0, now, now)
    rule = MeteringLabelRule("audit-rule", label.id, "egress", False, None, None, None, 0, now, now)

    def write(tx) -> None:
        common.add(tx, label)
        common.add(tx, rule)

    control.db.write(write)
    found = [each.text for each in audit(Look(control, "network")) if each.subject == "audit-rule"]
    control.db.write(lambda tx: common.remove(tx, MeteringLabel, [label.id]))
    assert found == ["metering rule names both remote addresses and ends, or none of them"]
