# SPDX-License-Identifier: Apache-2.0
"""Filters and weighers by Nova's names, each at places that it likes and at places that it does not."""

from __future__ import annotations

import contextlib
import json
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel import clock, json_query
from cumulet.kernel.errors import NotReady
from cumulet.services.compute.logic.scheduler import (
    choice,
    filters,
    filters_company,
    operators,
    plugins,
    weighers,
)
from cumulet.services.compute.logic.scheduler.asked import Asked
from cumulet.services.compute.logic.scheduler.place import Place
from cumulet.services.compute.types import Aggregate, ComputeHost, Flavor, Server, ServerGroup
from cumulet.services.placement.contract import Candidate, Room
from cumulet.settings.scheduler import Scheduler

NOW = clock.utcnow()
CAPABILITIES = {
    "hypervisor": "QEMU", "version": 7_002_009, "vcpus": 8, "memory": 16384, "disk": 100, "accelerator": "tcg",
    "architecture": "x86_64", "cpu_model": "qemu64", "cpu_vendor": "AMD", "features": ["aes", "avx2"],
}  # fmt: skip
EMPTY = {field.name: None for field in msgspec.structs.fields(Server)}


def server(**words):
    usual = {"id": "new", "name": "new", "project_id": "p", "image_id": "i", "image": {}, "flavor": {},
             "scheduler_hints": {}, "vm_state": "active", "host": ""}  # fmt: skip
    return Server(**{**EMPTY, **usual, **words})


def place(name="h", *, servers=(), metadata=({},), usage=(), room=(), disabled=False, failed=0, **capabilities):
    host = ComputeHost(
        name=name, id=name, number=1, service_id=name, capabilities={**CAPABILITIES, **capabilities},
        usage=dict(usage), disabled=disabled, disabled_reason=None, forced_down=False, created_at=NOW, updated_at=NOW,
        failed_builds=failed,
    )  # fmt: skip
    aggregates = [
        Aggregate(id=number, uuid=str(number), name=str(number), metadata=words, hosts=[name], created_at=NOW,
                  updated_at=None)
        for number, words in enumerate(metadata)
    ]  # fmt: skip
    rooms = {"MEMORY_MB": Room(16384, 4096), "VCPU": Room(32, 2), "DISK_GB": Room(100, 40), **dict(room)}
    ways = [Candidate(root=name, allocations={})]
    return Place(host, ways, aggregates, rooms, Facts(list(servers)))


class Facts:
    def __init__(self, servers):
        self._servers = servers
        self.busy = Counter(each.host for each in servers if each.task_state == "rebuilding")

    def servers(self, host):
        return self._servers


def asked(*, specs=(), image=(), hints=(), group=None, members=(), taken=(), image_id="i", **settings):
    flavor = Flavor(id="f", name="m1", ram=1, vcpus=1, disk=1, ephemeral=0, swap=0, rxtx_factor=1.0, is_public=True,
                    disabled=False, description=None, extra_specs=dict(specs), created_at=NOW)  # fmt: skip
    new = server(image={"properties": dict(image)}, image_id=image_id, scheduler_hints=dict(hints))
    return Asked(server=new, flavor=flavor, settings=Scheduler(**settings), group=group, members=list(members),
                 taken=dict(taken))  # fmt: skip


def group(policy, **rules):
    return ServerGroup(id="g", project_id="p", user_id="u", name="g", policy=policy, rules=rules, created_at=NOW)


def busy(number, host="h"):
    return [server(id=str(each), host=host, task_state="rebuilding") for each in range(number)]


GOOD_AND_BAD = {
    "AllHostsFilter": [(place(), asked(), True)],
    "ComputeFilter": [(place(), asked(), True), (place(disabled=True), asked(), False)],
    "ComputeCapabilitiesFilter": [
        (place(), asked(specs={"capabilities:vcpus_total": ">= 4", "hw:other": "x"}), True),
        (place(), asked(specs={"capabilities:vcpus_total": ">= 9"}), False),
        (place(), asked(specs={"capabilities:cpu_info:features": "<in> avx2"}), True),
        (place(), asked(specs={"capabilities:cpu_info:arch": "aarch64"}), False),
        (place(), asked(specs={"capabilities:nothing": "1"}), False),
        (place(), asked(specs={"free_ram_mb": "= 12288"}), True),
        (place(), asked(specs={"free_ram_mb": "= 12289"}), False),
        (place(), asked(specs={"whatever": "1"}), True),
    ],
    "ImagePropertiesFilter": [
        (place(), asked(), True),
        (place(), asked(image={"hw_architecture": "amd64", "img_hv_type": "qemu", "hw_vm_mode": "hvm"}), True),
        (place(), asked(image={"hw_architecture": "i386"}), True),
        (place(), asked(image={"hw_architecture": "aarch64"}), False),
        (place(), asked(image_properties_default_architecture="aarch64"), False),
        (place(), asked(image={"img_hv_type": "kvm"}), False),
        (place(accelerator="kvm"), asked(image={"img_hv_type": "kvm"}), True),
        (place(), asked(image={"img_hv_type": "xen"}), False),
        (place(), asked(image={"hw_vm_mode": "xen"}), False),
        (place(), asked(image={"img_hv_requested_version": ">=7.0,<8"}), True),
        (place(), asked(image={"img_hv_requested_version": ">7.2.9"}), False),
        (place(), asked(image={"img_hv_requested_version": "nonsense"}), False),
    ],
    "IoOpsFilter": [(place(servers=busy(7)), asked(), True), (place(servers=busy(8)), asked(), False)],
    "AggregateIoOpsFilter": [
        (place(servers=busy(2), metadata=[{"max_io_ops_per_host": "3"}]), asked(), True),
        (place(servers=busy(2), metadata=[{"max_io_ops_per_host": "9"}, {"max_io_ops_per_host": "2"}]), asked(), False),
        (place(servers=busy(2), metadata=[{"max_io_ops_per_host": "many"}]), asked(), True),
    ],
    "NumInstancesFilter": [
        (place(servers=busy(1)), asked(max_instances_per_host=2), True),
        (place(servers=busy(2)), asked(max_instances_per_host=2), False),
    ],
    "AggregateNumInstancesFilter": [
        (place(servers=busy(2), metadata=[{"max_instances_per_host": "3"}]), asked(max_instances_per_host=1), True),
        (place(servers=busy(2)), asked(max_instances_per_host=2), False),
    ],
    "IsolatedHostsFilter": [
        (place(), asked(), True),
        (place(), asked(isolated_hosts=("h",)), False),
        (place(), asked(isolated_hosts=("h",), restrict_isolated_hosts_to_isolated_images=False), True),
        (place(), asked(isolated_hosts=("h",), isolated_images=("i",)), True),
        (place("other"), asked(isolated_hosts=("h",), isolated_images=("i",)), False),
        (place(), asked(isolated_hosts=("h",), isolated_images=("i",), image_id="j"), False),
        (
            place(),
            asked(isolated_hosts=("h",), isolated_images=("i",), image_id="j",
                  restrict_isolated_hosts_to_isolated_images=False),
            True,
        ),
    ],
    "JsonFilter": [
        (place(), asked(), True),
        (place(), asked(hints={"query": '[">=", "$free_ram_mb", 1024]'}), True),
        (place(), asked(hints={"query": '["and", ["=", "$host", "h"], ["<", "$vcpus_used", 2]]'}), False),
        (place(), asked(hints={"query": '["not", ["in", "$cpu_info.arch", "arm", "x86_64"]]'}), False),
        (place(), asked(hints={"query": "nonsense"}), False),
        (place(), asked(hints={"query": '["what", 1]'}), False),
    ],
    "MetricsFilter": [
        (place(), asked(), True),
        (place(), asked(metrics_weight_setting=("load=1.0",)), False),
        (place(usage={"metrics": {"load": 1}}), asked(metrics_weight_setting=("load=1.0",)), True),
    ],
    "DifferentHostFilter": [
        (place(), asked(hints={"different_host": "s"}, taken={"s": "h"}), False),
        (place(), asked(hints={"different_host": ["s"]}, taken={"s": "other"}), True),
    ],
    "SameHostFilter": [
        (place(), asked(hints={"same_host": ["s", "gone"]}, taken={"s": "h"}), True),
        (place(), asked(hints={"same_host": "s"}, taken={"s": "other"}), False),
        (place(), asked(hints={"same_host": "gone"}), False),
    ],
    "SimpleCIDRAffinityFilter": [
        (place(), asked(), True),
        (place(address="10.1.2.3"), asked(hints={"build_near_host_ip": "10.1.2.9"}), True),
        (place(address="10.1.2.3"), asked(hints={"build_near_host_ip": "10.1.3.9"}), False),
        (place(address="10.1.2.3"), asked(hints={"build_near_host_ip": "10.1.3.9", "cidr": "/16"}), True),
        (place(address="10.1.2.3"), asked(hints={"build_near_host_ip": "x"}), False),
    ],
    "ServerGroupAffinityFilter": [
        (place(), asked(group=group("affinity")), True),
        (place(), asked(group=group("affinity"), members=["h"]), True),
        (place(), asked(group=group("affinity"), members=["other"]), False),
        (place(), asked(group=group("soft-affinity"), members=["other"]), True),
    ],
    "ServerGroupAntiAffinityFilter": [
        (place(), asked(group=group("anti-affinity"), members=["other"]), True),
        (place(), asked(group=group("anti-affinity"), members=["h"]), False),
        (place(), asked(group=group("anti-affinity", max_server_per_host=2), members=["h"]), True),
        (place(), asked(group=group("soft-anti-affinity"), members=["h"]), True),
    ],
    "AggregateInstanceExtraSpecsFilter": [
        (place(metadata=[{"ssd": "true"}]), asked(specs={"aggregate_instance_extra_specs:ssd": "true"}), True),
        (place(metadata=[{"ssd": "true, maybe"}]), asked(specs={"ssd": "maybe"}), True),
        (place(metadata=[{"cores": "8"}]), asked(specs={"cores": ">= 16"}), False),
        (place(), asked(specs={"ssd": "true"}), False),
        (place(), asked(specs={"hw:other": "true"}), True),
    ],
    "AggregateMultiTenancyIsolation": [
        (place(), asked(), True),
        (place(metadata=[{"filter_tenant_id": "p,q"}]), asked(), True),
        (place(metadata=[{"filter_tenant_id2": "q"}]), asked(), False),
    ],
    "AggregateImagePropertiesIsolation": [
        (place(metadata=[{"os_distro": "debian"}]), asked(image={"os_distro": "debian"}), True),
        (place(metadata=[{"os_distro": "debian"}]), asked(image={"os_distro": "arch"}), False),
        (place(metadata=[{"os_distro": "debian"}]), asked(), True),
        (
            place(metadata=[{"os_distro": "debian"}]),
            asked(image={"os_distro": "arch"}, aggregate_image_properties_isolation_namespace="img"),
            True,
        ),
    ],
    "AggregateTypeAffinityFilter": [
        (place(), asked(), True),
        (place(metadata=[{"instance_type": "m0, m1"}]), asked(), True),
        (place(metadata=[{"instance_type": "m0"}]), asked(), False),
    ],
}  # fmt: skip
CASES = [(name, *case) for name, cases in GOOD_AND_BAD.items() for case in cases]
NAMES = [f"{number}-{case[0]}" for number, case in enumerate(CASES)]


@pytest.mark.parametrize(
    ("name", "where", "what", "expected"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)]
)
def test_a_filter(name, where, what, expected):
    assert plugins.find_filters((name,))[name](where, what) is expected


# By weigher: the better place, then the worse, and what is asked.
BETTER = {
    "RAMWeigher": (place("a"), place("b", room={"MEMORY_MB": Room(16384, 9000)}), asked()),
    "CPUWeigher": (place("a"), place("b", room={"VCPU": Room(32, 20)}), asked()),
    "DiskWeigher": (place("a"), place("b", room={"DISK_GB": Room(50, 40)}), asked()),
    "IoOpsWeigher": (place("a"), place("b", servers=busy(1, "b")), asked()),
    "NumInstancesWeigher": (place("a"), place("b", servers=[server()]), asked(num_instances_weight_multiplier=-1.0)),
    "HypervisorVersionWeigher": (place("a"), place("b", version=7_001_000), asked()),
    "BuildFailureWeigher": (place("a"), place("b", failed=1), asked()),
    "ServerGroupSoftAffinityWeigher": (place("a"), place("b"), asked(group=group("soft-affinity"), members=["a"])),
    "ServerGroupSoftAntiAffinityWeigher": (
        place("a"), place("b"), asked(group=group("soft-anti-affinity"), members=["b", "b", "a"])
    ),
    "ImagePropertiesWeigher": (
        place("a", servers=[server(image={"properties": {"os": "x", "v": "1"}})]),
        place("b", servers=[server(image={"properties": {"v": "1"}})]),
        asked(image={"os": "x", "v": "1"}, image_props_weight_multiplier=1.0),
    ),
    "MetricsWeigher": (
        place("a", usage={"metrics": {"load": 1.0}}),
        place("b", usage={"metrics": {"load": 2.0}}),
        asked(metrics_weight_setting=("load=-1.0",)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BETTER))
def test_a_weigher(name):
    good, bad, what = BETTER[name]
    what = msgspec.structs.replace(what, settings=msgspec.structs.replace(what.settings, weight_classes=(name,)))
    weights = choice.weigh([bad, good], what)
    assert abs(weights["a"] - weights["b"]) == pytest.approx(abs(_multiplier(name, what)))
    assert choice.best([bad, good], what) is good


def _multiplier(name, what):
    return getattr(what.settings, plugins.find_weighers((name,))[name].multiplier)


def test_every_name_is_tried_and_none_is_missing():
    assert GOOD_AND_BAD.keys() == filters.FILTERS.keys() | filters_company.FILTERS.keys()
    assert BETTER.keys() == weighers.WEIGHERS.keys()
    assert set(plugins.find_weighers((plugins.ALL_WEIGHERS,))) >= BETTER.keys()
    with pytest.raises(NotReady, match="NoSuchFilter"):
        plugins.find_filters(("NoSuchFilter",))


def test_an_aggregate_says_how_much_a_weigher_counts():
    fuller = place("b", room={"MEMORY_MB": Room(16384, 9000)})
    stacked = [place("a", metadata=[{"ram_weight_multiplier": "-2"}]), fuller]
    settings = {"weight_classes": ("RAMWeigher",)}
    assert choice.weigh(stacked, asked(**settings)) == {"a": -2.0, "b": 0.0}
    nonsense = [place("a", metadata=[{"ram_weight_multiplier": "much"}]), fuller]
    assert choice.weigh(nonsense, asked(**settings)) == {"a": 1.0, "b": 0.0}


def test_any_of_the_best_is_taken():
    places = [place(name) for name in "abc"] + [place("d", room={"MEMORY_MB": Room(16384, 9000)})]
    assert {choice.best(places, asked()).name for _ in range(200)} == set("abc")
    assert {choice.best(places, asked(host_subset_size=4)).name for _ in range(200)} == set("abcd")


def test_refusals_name_the_first_filter():
    places = [place("a"), place("b", disabled=True), place("c", accelerator="tcg", architecture="arm")]
    verdicts = choice.judge(places, asked(image={"hw_architecture": "x86_64"}))
    assert [each.name for each in verdicts.left] == ["a"]
    assert verdicts.refused == {"b": "ComputeFilter", "c": "ImagePropertiesFilter"}


@pytest.mark.parametrize(
    ("value", "wanted", "fits"),
    [
        ("1", "1", True), ("12", "1", False), ("", "", True), ("4", "= 3", True), ("2", "= 3", False),
        ("3", "== 3.0", True), ("3", "!= 3", False), ("3", ">= 3", True), ("3", "<= 2", False), ("x", ">= 3", False),
        ("b", "s== b", True), ("b", "s!= b", False), ("b", "s< c", True), ("b", "s<= b", True), ("b", "s> c", False),
        ("b", "s>= c", False), ("abc", "<in> b", True), ("abc", "<in> d", False), ("abc", "<all-in> a c", True),
        ("abc", "<all-in> a d", False), ("b", "<or> a <or> b", True), ("c", "<or> a <or> b", False),
        ("a", "<or>", False), ("a", "<in>", False), ("3", ">=", False), ("> 3", "> 3", True),
    ],
)  # fmt: skip
def test_an_operator(value, wanted, fits):
    assert operators.fits(value, wanted) is fits


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["$host", "$cpu_info.arch", "$no.such"]),
    lambda inner: st.lists(inner) | st.tuples(st.sampled_from(["=", "<", ">", "in", "not", "and", "or"]), inner, inner),
)


@given(_JSON)
def test_any_query_holds_or_not_or_is_none(tree):
    with contextlib.suppress(json_query.BadQuery):
        assert json_query.holds(json.dumps(tree), place().facts()) in (True, False)


@given(st.text(), st.text())
def test_any_words_of_an_extra_spec_have_a_verdict(value, wanted):
    assert operators.fits(value, wanted) in (True, False)
