# SPDX-License-Identifier: Apache-2.0
"""Which back end takes a volume: each filter and weigher, the operators of extra specs, the functions of back ends."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel import clock
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Invalid, NotReady
from cumulet.services.block_storage.logic import pools, zones
from cumulet.services.block_storage.logic.pools import Used
from cumulet.services.block_storage.logic.scheduler import choice, evaluator, filters, operators, plugins, weighers
from cumulet.services.block_storage.logic.scheduler.asked import Asked
from cumulet.services.block_storage.logic.scheduler.place import Place
from cumulet.services.block_storage.types import GIB, Backend
from cumulet.settings.block_storage import BlockStorage

V1, V2, SERVER = "v1", "v2", "s1"
NOTHING = Used()


class Facts:
    """What a choice would look up."""

    def __init__(self, used: Used) -> None:
        self._used = used
        self.pools_of = {V1: "h@b#b", V2: "h@other#other"}

    def used(self, _backend: Backend) -> Used:
        return self._used

    def host_of(self, server_id: str) -> str:
        return "h" if server_id == SERVER else ""


def backend(name: str = "b", total: int = 100, free: int = 100, promised: int = 0, **more: Any) -> Backend:
    stats = {"total": total * GIB, "free": free * GIB, "provisioned": promised * GIB, "allocated": 0}
    able = {"vendor": "Cumulet", "version": "1", "storage_protocol": "file"}
    able |= {
        "thin_provisioning": more.pop("thin", True),
        "online_extend": more.pop("online", True),
        "multiattach": True,
    }
    report = {"stats": stats, "capabilities": able, "settings": more}
    return Backend("h", more.pop("zone", "nova"), False, None, report, clock.utcnow(), clock.utcnow(), name)


def place(used: Used = NOTHING, **words: Any) -> Place:
    return Place(backend(**words), Facts(used))


def asked(size: int = 10, **words: Any) -> Asked:
    settings = words.pop("settings", {})
    return Asked(size=size, settings=BlockStorage(**settings), **words)


THICK = {"provisioning:type": "thick"}
CASES = [
    ("AvailabilityZoneFilter", place(), asked(), True),
    ("AvailabilityZoneFilter", place(), asked(zones=["nova", "east"]), True),
    ("AvailabilityZoneFilter", place(zone="west"), asked(zones=["nova", "east"]), False),
    ("CapacityFilter", place(total=0), asked(), False),
    ("CapacityFilter", place(total=0), asked(size=0), True),
    ("CapacityFilter", place(total=0), asked(exists_on="h@b#b"), True),
    ("CapacityFilter", place(promised=1990, free=0), asked(), True),
    ("CapacityFilter", place(promised=1991), asked(), False),
    ("CapacityFilter", place(Used(3, 1991)), asked(), False),
    ("CapacityFilter", place(promised=90, max_over_subscription_ratio=1.0), asked(), True),
    ("CapacityFilter", place(promised=90, max_over_subscription_ratio=1.0, reserved_percentage=1), asked(), False),
    ("CapacityFilter", place(promised=140, max_over_subscription_ratio=1.5), asked(), True),
    ("CapacityFilter", place(promised=141, max_over_subscription_ratio=1.5), asked(), False),
    ("CapacityFilter", place(free=9), asked(extra_specs=THICK), False),
    ("CapacityFilter", place(free=10), asked(extra_specs=THICK), True),
    ("CapacityFilter", place(promised=91), asked(extra_specs=THICK), False),
    ("CapacityFilter", place(thin=False, free=9), asked(), False),
    ("CapacityFilter", place(thin=False, promised=90), asked(), True),
    ("CapabilitiesFilter", place(), asked(extra_specs={"volume_backend_name": "b"}), True),
    ("CapabilitiesFilter", place(), asked(extra_specs={"volume_backend_name": "c"}), False),
    ("CapabilitiesFilter", place(), asked(extra_specs={"capabilities:multiattach": "<is> True"}), True),
    ("CapabilitiesFilter", place(), asked(extra_specs={"multiattach": "<is> False"}), False),
    ("CapabilitiesFilter", place(), asked(extra_specs={"multiattach": "True"}), False),
    ("CapabilitiesFilter", place(), asked(extra_specs={"RESKEY:availability_zones": "mars", "other:x": "1"}), True),
    ("CapabilitiesFilter", place(), asked(extra_specs={"capabilities:storage_protocol:deeper": "file"}), False),
    ("CapabilitiesFilter", place(), asked(extra_specs={"colour": "red"}), False),
    ("CapabilitiesFilter", place(capabilities={"media": "ssd"}), asked(extra_specs={"media": "<or> a <or> ssd"}), True),
    ("CapabilitiesFilter", place(capabilities={"multiattach": "no"}), asked(extra_specs={"multiattach": "no"}), False),
    ("CapabilitiesFilter", place(online=False), asked(attached=True), False),
    ("CapabilitiesFilter", place(online=False), asked(), True),
    ("DriverFilter", place(), asked(), True),
    ("DriverFilter", place(filter_function="volume.size < 10"), asked(words={"size": 9}), True),
    ("DriverFilter", place(filter_function="volume.size < 10"), asked(words={"size": 10}), False),
    ("DriverFilter", place(filter_function="extra.media == 'ssd' and stats.free_capacity_gb > 50"),
     asked(extra_specs={"media": "ssd"}), True),
    ("DriverFilter", place(filter_function="qos.total_iops_sec <= 500"), asked(qos={"total_iops_sec": "500"}), True),
    ("DriverFilter", place(filter_function="volume.colour == 1"), asked(), False),
    ("DriverFilter", place(filter_function="1 +"), asked(), False),
    ("DifferentBackendFilter", place(), asked(), True),
    ("DifferentBackendFilter", place(), asked(hints={"different_host": V1}), False),
    ("DifferentBackendFilter", place(), asked(hints={"different_host": [V2, "v3"]}), True),
    ("DifferentBackendFilter", place(), asked(hints={"different_host": [V2, V1]}), False),
    ("DifferentBackendFilter", place(), asked(hints={"different_host": {"a": 1}}), False),
    ("SameBackendFilter", place(), asked(), True),
    ("SameBackendFilter", place(), asked(hints={"same_host": [V2, V1]}), True),
    ("SameBackendFilter", place(), asked(hints={"same_host": V2}), False),
    ("SameBackendFilter", place(), asked(hints={"same_host": ["v3"]}), False),
    ("SameBackendFilter", place(), asked(hints={"same_host": 3}), False),
    ("InstanceLocalityFilter", place(), asked(), True),
    ("InstanceLocalityFilter", place(), asked(hints={"local_to_instance": SERVER}), True),
    ("InstanceLocalityFilter", place(), asked(hints={"local_to_instance": "s2"}), False),
    ("JsonFilter", place(), asked(), True),
    ("JsonFilter", place(), asked(hints={"query": '["=", "$backend_id", "h@b#b"]'}), True),
    ("JsonFilter", place(), asked(hints={"query": '[">", "$free_capacity_gb", 100]'}), False),
    ("JsonFilter", place(), asked(hints={"query": '["=", "$capabilities.storage_protocol", "file"]'}), True),
    ("JsonFilter", place(), asked(hints={"query": "nonsense"}), False),
    ("JsonFilter", place(), asked(hints={"query": {"a": 1}}), False),
    ("IgnoreAttemptedHostsFilter", place(), asked(tried=["h@other#other"]), True),
    ("IgnoreAttemptedHostsFilter", place(), asked(tried=["h@b#b"]), False),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda at: f"{at}-{CASES[at][0]}")
def test_filters(case: int) -> None:
    name, where, what, expected = CASES[case]
    assert filters.FILTERS[name](where, what) is expected


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ("a", "a", True), ("a", "b", False), (True, "<is> yes", True), ("off", "<is> false", True),
        (True, "True", False),
        (5, "= 4", True), ("5", "== 5.0", True), (5, "!= 5", False), (5, ">= 6", False), (5, "<= 5", True),
        ("x", "== 1", False), ("abc", "<in> b", True), (["a", "b"], "<in> b", True), (7, "<in> b", False),
        ("b", "s== b", True), ("b", "s!= b", False), ("b", "s< c", True), ("b", "s<= b", True), ("b", "s> a", True),
        ("b", "s>= c", False), (3, "s< c", False), ("b", "<or> a <or> b", True), ("or", "<or> a <or> b", False),
        (None, "<or> a", False), (None, ">= 1", False), ("", "", True), ("x", "<is>", False), ({}, "== 1", False),
    ],
)  # fmt: skip
def test_operators(value: Any, wanted: str, *, expected: bool) -> None:
    assert operators.fits(value, wanted) is expected


NAMES: dict[str, dict[str, Any]] = {
    "stats": {"free_capacity_gb": 50, "host": "h@b#b"},
    "volume": {"size": 7},
    "capabilities": {"media": "ssd", "multiattach": True},
    "extra": {"n": "3"},
}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("2 ^ 3 ^ 2", 512), ("-2 ^ 2", -4), ("2 ^ -1", 0.5), ("10 / 4", 2.5),
        ("7 - 2 - 1", 4), ("--1", 1), ("2 * -3", -6), ("1 < 2 < 3", True), ("1 < 3 < 2", False), ("1 <> 2", True),
        ("not (1 > 2)", True), ("not 1 > 2", False), ("!1", False), ("1 and 0", 0), ("0 || 4", 4), ("1 > 2 ? 3 : 4", 4),
        ("1 < 2 ? 1 < 3 ? 5 : 6 : 7", 5), ("0 ? 1 : 0 ? 2 : 3", 3), ("max(1, 5, 3)", 5), ("min(4, 2)", 2),
        ("abs(-3)", 3), ("volume.size < 10", True), ("extra.n + 1", 4), ("capabilities.media == 'ssd'", True),
        ("stats.host", "h@b#b"), ('capabilities.media == "hdd"', False), ("capabilities.multiattach", 1),
        ("(volume.size < 5) ? 100 : 50", 50), ("'a' + 'b'", "ab"), ("1 AND 2 OR 3", 2),
    ],
)  # fmt: skip
def test_functions(function: str, expected: Any) -> None:
    found = evaluator.evaluate(function, NAMES)
    assert found == expected
    assert isinstance(found, bool) == isinstance(expected, bool)


@pytest.mark.parametrize(
    "function",
    [
        "", "(", "1 2", "1 ? 2", "stats.nope", "nope.x", "1 / 0", "max(1)", "sum(1)", "'a' * 9", "2 ^ 1000",
        "9999999999999999 ^ 64", "$x", "(" * 99 + "1" + ")" * 99, "1 < 'a'", "1" * 5000, "'a",
    ],
)  # fmt: skip
def test_what_is_no_function(function: str) -> None:
    with pytest.raises(evaluator.BadFunction):
        evaluator.evaluate(function, NAMES)


@given(st.text(alphabet="0123456789.+-*/^<>=!?:(), 'ab\"stvolumeizn&|", max_size=40))
def test_any_text_is_a_function_or_is_none(function: str) -> None:
    with contextlib.suppress(evaluator.BadFunction):
        evaluator.evaluate(function, NAMES)


def best(places: list[Place], *, weigher: str, **settings: Any) -> str:
    what = asked(settings={"scheduler_default_weighers": (weigher,), **settings})
    weights = choice.weigh(places, what)
    return max(weights, key=lambda name: weights[name])


def test_weighers() -> None:
    places = [
        place(Used(5, 50), name="full", promised=500, goodness_function="100"),
        place(Used(2, 60), name="idle", promised=100, goodness_function="volume.nope"),
        place(Used(9, 10), name="many", promised=300, goodness_function="101"),
    ]
    full, idle, many = (each.name for each in places)
    assert best(places, weigher="CapacityWeigher") == idle
    assert best(places, weigher="CapacityWeigher", capacity_weight_multiplier=-1.0) == full
    assert best(places, weigher="AllocatedCapacityWeigher") == many
    assert best(places, weigher="AllocatedCapacityWeigher", allocated_capacity_weight_multiplier=1.0) == idle
    assert best(places, weigher="VolumeNumberWeigher") == idle
    assert best(places, weigher="VolumeNumberWeigher", volume_number_multiplier=2.0) == many
    assert best(places, weigher="GoodnessWeigher") == full
    assert best(places, weigher="ChanceWeigher") in (full, idle, many)
    assert len({best(places, weigher="ChanceWeigher") for _ in range(60)}) > 1
    assert set(weighers.WEIGHERS) >= set(BlockStorage().scheduler_default_weighers)


@pytest.mark.parametrize(("function", "rating"), [("1 < 2", 100), ("1 > 2", 0), ("50", 50), ("-1", 0), ("101", 0)])
def test_goodness(function: str, rating: float) -> None:
    assert weighers.WEIGHERS["GoodnessWeigher"].weigh(place(goodness_function=function), asked()) == rating


def test_a_filter_that_nobody_has() -> None:
    with pytest.raises(NotReady, match="LostFilter"):
        plugins.find_filters(("LostFilter",))
    with pytest.raises(NotReady, match="LostWeigher"):
        plugins.find_weighers(("LostWeigher",))
    assert list(plugins.find_filters(("JsonFilter", "DriverFilter"))) == ["JsonFilter", "DriverFilter"]


def test_what_pools_show() -> None:
    shown = pools.capabilities(
        backend(promised=10, capabilities={"media": "ssd", "total_capacity_gb": "lie"}, qos={"read_iops_sec": 1}),
        Used(4, 12),
    )
    assert (shown["media"], shown["total_capacity_gb"], shown["QoS_support"]) == ("ssd", 100.0, False)
    assert (shown["provisioned_capacity_gb"], shown["allocated_capacity_gb"], shown["total_volumes"]) == (12.0, 12, 4)


@pytest.mark.parametrize(
    ("wanted", "of_type", "origin", "settings", "expected"),
    [
        (None, None, "", {}, ["nova"]),
        (None, None, "", {"default_availability_zone": "east"}, ["east"]),
        ("east", None, "", {}, ["east"]),
        (None, "east,nova", "", {}, ["east", "nova"]),
        (None, " east , mars", "", {}, ["east"]),
        ("nova", "east,nova", "", {}, ["nova"]),
        (None, None, "east", {}, ["east"]),
        ("mars", None, "", {"allow_availability_zone_fallback": True}, ["nova"]),
        ("mars", None, "", {}, "Availability zone 'mars' is invalid."),
        ("nova", "east", "", {}, "Availability zone 'nova' is invalid."),
        (None, "mars", "", {}, "only supported in these availability zones"),
        ("nova", None, "east", {}, "Volume must be in the same availability zone as the source volume"),
    ],
)
def test_zones(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, of_type: str | None, origin: str, settings: Any, expected: Any
) -> None:
    monkeypatch.setattr(zones.store, "find_all", lambda _source: [backend(), backend(name="c", zone="east")])
    specs = {} if of_type is None else {zones.OF_TYPE: of_type}
    source: Source = None  # type: ignore[assignment]
    if isinstance(expected, list):
        assert zones.chosen(source, BlockStorage(**settings), wanted, specs, origin, "source volume") == expected
        return
    with pytest.raises(Invalid, match=expected.replace("(", r"\(")):
        zones.chosen(source, BlockStorage(**settings), wanted, specs, origin, "source volume")


def test_zones_that_take_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    off = msgspec.structs.replace(backend(name="c", zone="east"), disabled=True)
    monkeypatch.setattr(zones.store, "find_all", lambda _source: [backend(), off])
    assert zones.found(None) == {"nova": True, "east": False}  # type: ignore[arg-type]
