# SPDX-License-Identifier: Apache-2.0
"""What carries networks: numbers by type, and networks that the release before made."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import Column, inspect

from cumulet.app import SERVICES
from cumulet.kernel import clock, ids, plugins
from cumulet.kernel.db import Database, migrate, sql
from cumulet.kernel.errors import Invalid
from cumulet.kernel.ids import is_uuid
from cumulet.kernel.manifest import read_all
from cumulet.services.network import tables
from cumulet.services.network.contract import PortToBind, ProviderSegment, Vif
from cumulet.services.network.logic import network_types, segment_ranges, segments, tagged_frames
from cumulet.services.network.store import common
from cumulet.services.network.store import segment_ranges as ranges
from cumulet.services.network.store import segments as store
from cumulet.services.network.types import Network
from cumulet.services.network.types.segment_ranges import SegmentRange
from support.people import environment

NUMBER = 16_200_000  # what follows is this module's own


class Lanes:
    """Networks by tags on physical networks."""

    overhead, numbers, everywhere = 0, range(1, 1 << 24), True

    def refuse(self, segment: ProviderSegment) -> str | None:
        return None


@pytest.fixture
def client(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setattr(plugins, "load", lambda group, name: {(network_types.GROUP, "lanes"): Lanes}[group, name])
    settings = cloud.control.cloud.settings
    network = msgspec.structs.replace(settings.network, type_drivers=(*settings.network.type_drivers, "lanes"))
    monkeypatch.setattr(cloud.control.cloud, "settings", msgspec.structs.replace(settings, network=network))
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30) as found:
        yield found


def make(client: httpx.Client, *segments: tuple[str, str | None, int | None]) -> dict[str, Any]:
    names = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")
    listed = [dict(zip(names, each, strict=True)) for each in segments]
    found: dict[str, Any] = client.post("/networks", json={"network": {"segments": listed}}).json()
    return found.get("network") or found["NeutronError"]


def test_numbers_are_taken_by_type_and_physical_network(client: httpx.Client) -> None:
    first = make(client, ("vxlan", None, NUMBER), ("lanes", "left", NUMBER), ("lanes", "right", NUMBER))
    assert [each["provider:physical_network"] for each in first["segments"]] == [None, "left", "right"]
    taken = make(client, ("lanes", "left", NUMBER))
    assert (taken["type"], taken["message"]) == (
        "VlanIdInUse",
        f"Unable to create the network. The VLAN {NUMBER} on physical network left is in use.",
    )
    assert make(client, ("vxlan", None, NUMBER))["type"] == "TunnelIdInUse"
    other = make(client, ("lanes", "middle", NUMBER))
    assert other["provider:segmentation_id"] == NUMBER
    for each in (first, other):
        assert client.delete(f"/networks/{each['id']}").status_code == 204


def test_the_lowest_free_number_is_given_out(cloud: Any, client: httpx.Client) -> None:
    made = [make(client, ("lanes", "down", number)) for number in (1, 2, 4)]
    made.append(make(client, ("lanes", "down", None), ("lanes", "down", None)))
    assert [each["provider:segmentation_id"] for each in made[-1]["segments"]] == [3, 5]
    db = cloud.control.cloud.db
    assert store.free_number(db, "lanes", "down", 1, 5) is None
    assert store.free_number(db, "lanes", "down", 2, 6) == 6
    assert store.free_number(db, "lanes", "down", 7, 7) == 7
    for each in made:
        assert client.delete(f"/networks/{each['id']}").status_code == 204


def test_what_the_release_before_makes_has_a_segment(cloud: Any, client: httpx.Client) -> None:
    key, now, db = ids.new_uuid(), clock.utcnow(), cloud.control.cloud.db
    row = {
        "id": key, "project_id": ids.new_uuid(), "name": "old", "admin_state_up": True, "shared": False,
        "external": False, "is_default": False, "mtu": 1450, "port_security_enabled": True, "network_type": "vxlan",
        "physical_network": None, "segmentation_id": NUMBER + 50, "availability_zone_hints": [], "description": "",
        "tags": [], "revision_number": 1, "created_at": now, "updated_at": now, "granted": False, "limited": False,
    }  # fmt: skip
    db.write(lambda tx: sql.execute(tx, tables.network.insert().values(row)))
    shown = client.get(f"/networks/{key}").json()["network"]
    assert (shown["provider:network_type"], shown["provider:segmentation_id"]) == ("vxlan", NUMBER + 50)
    (segment,) = store.of_networks(db, [key])[key]
    assert (segment.network_type, segment.physical_network, segment.segmentation_id) == ("vxlan", "", NUMBER + 50)
    assert make(client, ("vxlan", None, NUMBER + 50))["type"] == "TunnelIdInUse"
    db.write(lambda tx: sql.remove(tx, tables.network, id=key))
    assert not store.of_networks(db, [key])


def test_the_release_before_reads_what_is_made_now(cloud: Any) -> None:
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30) as plain:
        made = make(plain, ("vxlan", None, NUMBER + 51), ("local", None, None))
        found = cloud.control.cloud.db
        (row,) = sql.tuples(found, tables.network.select().where(tables.network.c.id == made["id"]))
        assert (row.network_type, row.physical_network, row.segmentation_id) == ("vxlan", None, NUMBER + 51)
        assert plain.delete(f"/networks/{made['id']}").status_code == 204


def test_shared_numbers_are_those_that_no_project_has_for_itself(cloud: Any, client: httpx.Client) -> None:
    words, db = environment(cloud), cloud.control.cloud.db
    (free,) = [each.free for each in ranges.offers(db, "vxlan") if each.project_id is None and each.first == 1]
    assert free is not None
    asked = {"network_type": "vxlan", "minimum": free, "maximum": free, "shared": False}
    path, body = "/network-segment-ranges", {"network_segment_range": {**asked, "project_id": words["PROJECT_ID"]}}
    kept = client.post(path, json=body).json()["network_segment_range"]["id"]
    other = client.post("/networks", json={"network": {"project_id": words["OTHER_PROJECT_ID"]}}).json()["network"]
    own = client.post("/networks", json={"network": {"project_id": words["PROJECT_ID"]}}).json()["network"]
    assert other["provider:segmentation_id"] > free
    assert own["provider:segmentation_id"] == free
    for each in (other, own):
        assert client.delete(f"/networks/{each['id']}").status_code == 204
    assert client.delete(f"{path}/{kept}").status_code == 204


def test_default_ranges_follow_the_settings(cloud: Any) -> None:
    inner = cloud.control.cloud
    before = [each.id for each in ranges.defaults(inner.db)]
    inner.db.write(lambda tx: segment_ranges.follow(inner, tx))
    assert [each.id for each in ranges.defaults(inner.db)] == before
    network = msgspec.structs.replace(inner.settings.network, segments="7-9")
    changed = dataclasses.replace(inner, settings=msgspec.structs.replace(inner.settings, network=network))
    try:
        inner.db.write(lambda tx: segment_ranges.follow(changed, tx))
        kept = [each for each in ranges.defaults(inner.db) if each.network_type == "vxlan"]
        assert [(each.minimum, each.maximum, each.shared) for each in kept] == [(7, 9, True)]
    finally:
        inner.db.write(lambda tx: segment_ranges.follow(inner, tx))


def test_what_a_range_offers_is_told_in_part_where_it_is_much() -> None:
    now = clock.utcnow()
    whole = SegmentRange("r", None, "", False, True, "gre", "", 1, (1 << 32) - 1, "", [], 0, now, now)
    told = segment_ranges.available(whole, [1, 3, 9_999_999])
    assert (told[:3], len(told)) == ([2, 4, 5], segment_ranges.SHOWN)
    assert segment_ranges.available(msgspec.structs.replace(whole, maximum=4), [2]) == [1, 3, 4]


class Carries:
    """A driver that plugs nothing in, and says of tags what it is told to."""

    vnic_types: frozenset[str] = frozenset()

    def __init__(self, word: bool | None) -> None:
        self.word = word

    def bind(self, port: PortToBind) -> Vif | None:
        return None

    def carries(self, feature: str, network_types: list[str]) -> bool | None:
        return self.word if feature == "qinq" and network_types == ["vxlan"] else None


@pytest.mark.parametrize(
    ("words", "passes"), [((True,), True), ((True, None), True), ((True, False), False), ((None,), False)], ids=str
)
def test_tags_of_guests_pass_where_a_driver_says_so(
    cloud: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[bool | None, ...], passes: bool
) -> None:
    inner, drivers = cloud.control.cloud, {f"tags-{word}": Carries(word) for word in words}
    monkeypatch.setattr(tagged_frames.mechanisms, "find", lambda name: drivers.get(name) or Carries(None))
    network = msgspec.structs.replace(inner.settings.network, mechanism_drivers=tuple(drivers))
    monkeypatch.setattr(inner, "settings", msgspec.structs.replace(inner.settings, network=network))
    if passes:
        tagged_frames.check(inner, {"qinq": True}, ["vxlan"])
    else:
        with pytest.raises(Invalid):
            tagged_frames.check(inner, {"qinq": True}, ["vxlan"])
    with pytest.raises(Invalid):
        tagged_frames.check(inner, {"vlan_transparent": True}, ["vxlan"])


def test_networks_from_before_have_segments(empty: Database, tmp_path: Path) -> None:
    (service,) = [each for each in read_all(SERVICES) if each.package == "network"]
    assert service.migrations is not None
    for script in service.migrations.glob("*.sql"):
        if int(script.name[:4]) < 290:
            shutil.copy(script, tmp_path)
    migrate.migrate(empty, {"network": tmp_path})
    names = ("flat", "public", None), ("vxlan", None, 7), ("local", None, None)
    with empty.dialect.use() as connection:
        there = {column["name"] for column in inspect(connection).get_columns("network_network")}
    known = [column for column in tables.network.columns if column.name in there]
    for key, (kind, physical, number) in enumerate(names):
        row = {column.name: _some(column) for column in known}
        row |= {"id": str(key), "network_type": kind, "physical_network": physical, "segmentation_id": number}
        empty.write(lambda tx, row=row: sql.execute(tx, tables.network.insert().values(row)))
    migrate.migrate(empty, {"network": service.migrations})
    held = store.of_networks(empty, ["0", "1", "2"])
    assert {key: tuple(segments.carrier(one) for one in listed) for key, listed in held.items()} == {
        str(key): (said,) for key, said in enumerate(names)
    }
    for network in common.find_all(empty, Network):
        assert segments.carriers(empty, [network])[network.id] == [names[int(network.id)]]
        assert is_uuid(held[network.id][0].id)


def _some(column: Column[Any]) -> Any:
    """A value that fits."""
    kind = column.type.python_type if not isinstance(column.type, sql.Json) else list
    return clock.utcnow() if kind.__name__ == "datetime" else kind()
