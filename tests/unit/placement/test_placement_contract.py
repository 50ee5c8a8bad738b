# SPDX-License-Identifier: Apache-2.0
"""What the other services of the cloud are promised (`PlacementContract`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cumulet.kernel import ids
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.placement.contract import Inventory
from cumulet.services.placement.logic import providers

HOST = "11111111-0000-4000-8000-000000000001"
CHILD = "11111111-0000-4000-8000-000000000002"
AGGREGATE = "aaaaaaaa-0000-4000-8000-000000000001"
SERVER = "22222222-0000-4000-8000-000000000001"
OTHER = "22222222-0000-4000-8000-000000000002"
STOCK = {"VCPU": Inventory(total=4, allocation_ratio=2.0), "MEMORY_MB": Inventory(total=1024, reserved=24)}


@pytest.fixture
def host(db, placement):
    def write(tx):
        placement.ensure_provider(tx, HOST, "host-1")
        placement.set_inventory(tx, HOST, STOCK)

    db.write(write)
    return HOST


def claim(db, placement, consumer, amounts, provider=HOST):
    db.write(lambda tx: placement.claim(tx, consumer, {provider: amounts}, "project", "user"))


def generation(db, uuid=HOST):
    return providers.get(db, uuid).generation


def test_a_provider_is_ensured_renamed_and_moved(db, placement, host):
    db.write(lambda tx: placement.ensure_provider(tx, CHILD, "disk"))
    db.write(lambda tx: placement.ensure_provider(tx, CHILD, "disk-1", HOST))
    assert (providers.get(db, CHILD).name, providers.get(db, CHILD).root_uuid) == ("disk-1", HOST)
    with pytest.raises(Conflict):
        db.write(lambda tx: placement.ensure_provider(tx, CHILD, "host-1", HOST))
    with pytest.raises(NotFound):
        db.write(lambda tx: placement.ensure_provider(tx, CHILD, "disk-1", OTHER))


def test_saying_the_same_again_changes_nothing(db, placement, host):
    before = generation(db)

    def write(tx):
        placement.ensure_provider(tx, HOST, "host-1")
        placement.set_inventory(tx, HOST, STOCK)
        placement.set_traits(tx, HOST, [])
        placement.set_aggregates(tx, HOST, [])

    db.write(write)
    assert generation(db) == before


def test_custom_names_are_made_by_their_first_use_and_others_refused(db, placement, host):
    db.write(lambda tx: placement.set_inventory(tx, HOST, {"CUSTOM_GOLD": Inventory(total=1)}))
    db.write(lambda tx: placement.set_traits(tx, HOST, ["CUSTOM_FAST", "HW_CPU_X86_VMX"]))
    assert placement.candidates(db, {"CUSTOM_GOLD": 1}, required=["CUSTOM_FAST"])
    with pytest.raises(Invalid):
        db.write(lambda tx: placement.set_inventory(tx, HOST, {"GOLD": Inventory(total=1)}))
    with pytest.raises(Invalid):
        db.write(lambda tx: placement.set_traits(tx, HOST, ["FAST"]))


def test_candidates_have_room_traits_and_aggregates(db, placement, host):
    def where(**wanted):
        return [each.root for each in placement.candidates(db, {"VCPU": 1}, **wanted)]

    db.write(lambda tx: placement.set_traits(tx, HOST, ["CUSTOM_FAST"]))
    db.write(lambda tx: placement.set_aggregates(tx, HOST, [AGGREGATE]))
    assert where() == [HOST]
    assert where(required=["CUSTOM_FAST"]) == [HOST]
    assert where(required=["CUSTOM_SLOW"]) == []
    assert where(forbidden=["CUSTOM_FAST"]) == []
    assert where(forbidden=["CUSTOM_SLOW"]) == [HOST]
    assert where(member_of=[[AGGREGATE, OTHER]]) == [HOST]
    assert where(member_of=[[AGGREGATE], [OTHER]]) == []
    assert where(in_tree=HOST) == [HOST]
    assert where(in_tree=OTHER) == []
    assert placement.candidates(db, {"VCPU": 9}) == []
    assert placement.candidates(db, {"CUSTOM_NONE": 1}) == []
    assert placement.candidates(db, {"VCPU": 10**30}) == []


def test_a_candidate_is_what_claim_takes(db, placement, host):
    found = placement.candidates(db, {"VCPU": 2, "MEMORY_MB": 512}, limit=1)[0]
    db.write(lambda tx: placement.claim(tx, SERVER, found.allocations, "project", "user"))
    held = placement.allocation(db, SERVER)
    assert held.resources == {HOST: {"VCPU": 2, "MEMORY_MB": 512}}
    assert (held.project_id, held.user_id, held.generation) == ("project", "user", 1)
    assert placement.provider_usage(db, HOST)["VCPU"].used == 2
    assert placement.provider_usage(db, HOST)["VCPU"].capacity == 8
    assert placement.project_usage(db, "project") == {"VCPU": 2, "MEMORY_MB": 512}
    assert placement.project_usage(db, "project", "another") == {}


def test_a_claim_replaces_the_consumers_last_one(db, placement, host):
    for amount in (4, 4, 1):
        claim(db, placement, SERVER, {"VCPU": amount})
    assert placement.provider_usage(db, HOST)["VCPU"].used == 1
    db.write(lambda tx: placement.release(tx, SERVER))
    db.write(lambda tx: placement.release(tx, SERVER))
    assert placement.allocation(db, SERVER) is None


@pytest.mark.parametrize(
    "amounts",
    [{"VCPU": 4}, {"VCPU": 5}, {"VCPU": 1, "MEMORY_MB": 1001}, {"DISK_GB": 1}],
    ids=["capacity", "one claim's limit", "reserved", "no inventory"],
)
def test_a_claim_without_room_leaves_no_trace(db, placement, host, amounts):
    for consumer, amount in ((OTHER, 4), (CHILD, 1)):
        claim(db, placement, consumer, {"VCPU": amount})
    before = generation(db)
    with pytest.raises(Conflict):
        claim(db, placement, SERVER, amounts)
    assert placement.allocation(db, SERVER) is None
    assert generation(db) == before


def test_a_claim_on_a_provider_that_is_gone_is_not_found(db, placement):
    with pytest.raises(NotFound):
        claim(db, placement, SERVER, {"VCPU": 1})


def test_what_shrank_below_its_use_may_be_kept_but_not_grown(db, placement, host):
    claim(db, placement, SERVER, {"VCPU": 4})
    db.write(lambda tx: placement.set_inventory(tx, HOST, {**STOCK, "VCPU": Inventory(total=2, max_unit=8)}))
    claim(db, placement, SERVER, {"VCPU": 3})
    with pytest.raises(Conflict):
        claim(db, placement, SERVER, {"VCPU": 4})


def test_what_is_used_stays(db, placement, host):
    claim(db, placement, SERVER, {"VCPU": 1})
    with pytest.raises(Conflict):
        db.write(lambda tx: placement.set_inventory(tx, HOST, {"MEMORY_MB": Inventory(total=1)}))
    with pytest.raises(Conflict):
        db.write(lambda tx: placement.delete_provider(tx, HOST))
    db.write(lambda tx: placement.release(tx, SERVER))
    db.write(lambda tx: placement.delete_provider(tx, HOST))
    db.write(lambda tx: placement.delete_provider(tx, HOST))
    with pytest.raises(NotFound):
        placement.provider_usage(db, HOST)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    total=st.integers(1, 12),
    ratio=st.sampled_from([1.0, 1.5, 2.0]),
    amounts=st.lists(st.integers(1, 5), min_size=2, max_size=24),
)
def test_claims_never_overrun_an_inventory(db, placement, total, ratio, amounts):
    """Many threads claim at once; whoever is told of success holds what it asked for, and all of it fits."""
    provider = ids.new_uuid()

    def write(tx):
        placement.ensure_provider(tx, provider, provider)
        inventory = Inventory(total=total, allocation_ratio=ratio, max_unit=5)
        placement.set_inventory(tx, provider, {"VCPU": inventory})

    db.write(write)

    def attempt(amount):
        try:
            claim(db, placement, ids.new_uuid(), {"VCPU": amount}, provider)
        except Conflict:
            return 0
        return amount

    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(attempt, amounts))
    usage = placement.provider_usage(db, provider)["VCPU"]
    assert usage.used == sum(granted) <= usage.capacity
    refused = [amount for amount, got in zip(amounts, granted, strict=True) if not got]
    assert all(usage.used + amount > usage.capacity for amount in refused)
