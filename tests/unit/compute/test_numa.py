# SPDX-License-Identifier: Apache-2.0
"""NUMA nodes of guests: OpenStack's refusals, and fits that give nobody what another has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.guest import exclusive
from cumulet.services.compute.logic.guest.agreement import Wishes
from cumulet.services.compute.logic.numa import cpu_sets, fit, wanted
from cumulet.services.compute.logic.numa.fit import KIB_A_MIB, Ratios
from cumulet.services.compute.types import Flavor, GuestNodes, HostNode, Pages

VERDICTS = json.loads(Path(__file__).with_name("numa_verdicts.json").read_text())
RATIOS = Ratios(4.0, 1.0)


def wishes(specs: dict[str, str], words: dict[str, str] | None = None, vcpus: int = 4, ram: int = 64) -> Wishes:
    flavor = Flavor(
        id="1", name="small", ram=ram, vcpus=vcpus, disk=1, ephemeral=0, swap=0, rxtx_factor=1.0, is_public=True,
        disabled=False, description=None, extra_specs=specs, created_at=clock.utcnow(),
    )  # fmt: skip
    return Wishes.of(flavor, words or {}, "tiny")


def verdict(specs: dict[str, str], words: dict[str, str]) -> list[object]:
    """What is refused, or the nodes: shared and own processors and memory of each, and the policies."""
    try:
        asked = wishes(specs, words)
        found = wanted.of(asked)
        exclusive.pci_policy(asked)
    except Invalid as error:
        return [error.message, None]
    if found is None:
        return [None, None]
    nodes: list[object] = [[sorted(each.shared), sorted(each.own), each.memory] for each in found.nodes]
    return [None, [*nodes, [found.policy or None, found.threads or None, found.page_size]]]


def test_refusals_and_nodes_are_openstacks() -> None:
    differing = [
        (specs, words, expected, found)
        for specs, words, *expected in VERDICTS
        if (found := verdict(specs, words)) != expected
    ]
    assert differing == []


@pytest.mark.parametrize("text", ["0-999999999999", "a", "1-x", "^y", "3-1", "99999999"])
def test_what_is_no_set_of_processors_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        cpu_sets.parse(text)


def test_more_processors_than_anybody_has_cost_nothing() -> None:
    """Flavors may have two thousand millions of them."""
    for specs in ({"hw:cpu_policy": "dedicated"}, {"hw:numa_nodes": "1"}, {"hw:cpu_dedicated_mask": "1"}):
        with pytest.raises(Invalid, match="No host has 2147483647 processors"):
            wanted.of(wishes(specs, vcpus=2**31 - 1))
    assert wanted.of(wishes({"hw:cpu_policy": "shared"}, vcpus=2**31 - 1)) is None


def host(nodes: int = 2, cpus: int = 4, *, threads: int = 1, memory: int = 96, large: int = 8) -> list[HostNode]:
    """Nodes whose first processor is shared; `large` pages of 2 MiB each."""
    found = []
    for node in range(nodes):
        own = list(range(node * cpus, (node + 1) * cpus))
        cores = [own[at : at + threads] for at in range(0, cpus, threads)] if threads > 1 else []
        ordinary = (memory - 2 * large) * KIB_A_MIB // 4
        pages = [Pages(size=4, total=ordinary), Pages(size=2048, total=large)] if large else []
        found.append(
            HostNode(
                id=node, memory=memory, shared=own[:1], dedicated=own[1:], siblings=cores, pages=pages, socket=node
            )
        )
    return found


def fitted(
    there: list[HostNode], specs: dict[str, str], held: list[GuestNodes] | None = None, **more: int
) -> GuestNodes | None:
    asked = wanted.of(wishes(specs, **more))  # type: ignore[arg-type]
    assert asked is not None
    return fit.fit(fit.rooms(there, held or []), asked, RATIOS)


PINNED = {"hw:cpu_policy": "dedicated"}


def test_each_guest_node_has_a_host_node_of_its_own() -> None:
    found = fitted(host(), {**PINNED, "hw:numa_nodes": "2"})
    assert found is not None
    assert [(node.cpus, sorted(host for _, host in node.pins)) for node in found.nodes] in (
        [([0, 1], [1, 2]), ([2, 3], [5, 6])],
        [([0, 1], [5, 6]), ([2, 3], [1, 2])],
    )
    assert fitted(host(), {"hw:numa_nodes": "4"}) is None


def test_a_pinned_guest_of_one_node_needs_a_node_with_room() -> None:
    assert fitted(host(), PINNED) is None
    assert fitted(host(), PINNED, vcpus=3) is not None


def test_threads_of_a_core_are_given_together_where_they_can_be() -> None:
    there = host(1, 6, threads=2)  # processor 0 is shared: its core has one thread left
    found = fitted(there, PINNED, vcpus=2)
    assert found is not None
    assert [each for _, each in found.nodes[0].pins] == [2, 3]
    assert fitted(there, {**PINNED, "hw:cpu_thread_policy": "isolate"}, vcpus=2) is None
    assert fitted(host(1, 6), {**PINNED, "hw:cpu_thread_policy": "require"}, vcpus=2) is None
    assert fitted(there, {**PINNED, "hw:cpu_thread_policy": "require"}, vcpus=5) is None
    assert fitted(there, {**PINNED, "hw:cpu_thread_policy": "prefer"}, vcpus=5) is not None


def test_the_hypervisors_own_threads_may_have_a_processor() -> None:
    specs = {**PINNED, "hw:emulator_threads_policy": "isolate"}
    found = fitted(host(1), specs, vcpus=2)
    assert found is not None
    assert found.own_cpus == {1, 2, 3}
    assert found.reserved
    assert fitted(host(1), specs, vcpus=3) is None


def test_pages_are_those_that_were_asked_for() -> None:
    there = host(1, memory=64, large=16)
    sizes = {"large": 2048, "any": 2048, "small": 4, "2MB": 2048, "4": 4}
    for word, size in sizes.items():
        found = fitted(there, {"hw:mem_page_size": word}, vcpus=1, ram=32)
        assert found is not None
        assert found.nodes[0].page_size == size
        assert fitted(there, {"hw:mem_page_size": word}, [found, found], vcpus=1, ram=32) is None
    assert fitted(there, {"hw:mem_page_size": "1GB"}, vcpus=1, ram=32) is None
    assert fitted(there, {"hw:mem_page_size": "2MB"}, vcpus=1, ram=31) is None


SPECS = st.fixed_dictionaries(
    {},
    optional={
        "hw:cpu_policy": st.sampled_from(["dedicated", "shared", "mixed"]),
        "hw:numa_nodes": st.sampled_from(["1", "2"]),
        "hw:cpu_thread_policy": st.sampled_from(["prefer", "isolate", "require"]),
        "hw:cpu_dedicated_mask": st.sampled_from(["0", "1-2"]),
        "hw:emulator_threads_policy": st.sampled_from(["isolate", "share"]),
        "hw:mem_page_size": st.sampled_from(["2MB", "any", "large", "small"]),
    },
)
GUESTS = st.lists(st.tuples(SPECS, st.sampled_from([1, 2, 4]), st.sampled_from([4, 8, 16, 32])), max_size=12)


@settings(max_examples=60, deadline=None)
@given(guests=GUESTS, nodes=st.integers(1, 3), cpus=st.sampled_from([2, 4, 6]), threads=st.sampled_from([1, 2]))
def test_nobody_gets_what_another_has(
    guests: list[tuple[dict[str, str], int, int]], nodes: int, cpus: int, threads: int
) -> None:
    there = host(nodes, cpus, threads=threads)
    held: list[GuestNodes] = []
    for specs, vcpus, ram in guests:
        try:
            asked = wanted.of(wishes(specs, vcpus=vcpus, ram=ram))
        except Invalid:
            continue
        found = None if asked is None else fit.fit(fit.rooms(there, held), asked, RATIOS)
        if asked is None or found is None:
            continue
        held.append(found)
        assert sorted(cpu for node in found.nodes for cpu in node.cpus) == list(range(vcpus))
        assert sum(node.memory for node in found.nodes) == ram
        assert len({node.host_node for node in found.nodes}) == len(asked.nodes)
        assert len(found.own_cpus) == asked.own_count
        for node, part in zip(found.nodes, asked.nodes, strict=True):
            assert {guest for guest, _ in node.pins} == (part.own if asked.is_pinned else set())
            assert {each for _, each in node.pins} <= set(there[node.host_node].dedicated)
    taken = [cpu for guest in held for cpu in guest.own_cpus]
    assert len(taken) == len(set(taken))
    for place in there:
        here = [part for guest in held for part in guest.nodes if part.host_node == place.id]
        assert sum(len(part.cpus) - len(part.pins) for part in here) <= len(place.shared) * RATIOS.cpu
        for pages in place.pages:
            used = sum(part.memory for part in here if part.page_size == pages.size)
            assert used * KIB_A_MIB <= pages.total * pages.size
