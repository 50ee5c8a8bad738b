# SPDX-License-Identifier: Apache-2.0
"""What is in memory is what the database holds at the moment of the search, whoever wrote it and in whatever order."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from cumulet.kernel.db import sql
from cumulet.kernel.errors import Conflict, CumuletError
from cumulet.services.placement.contract import Inventory
from cumulet.services.placement.facade import Placement
from cumulet.services.placement.logic import candidates, notes, providers
from cumulet.services.placement.logic.candidates import Order
from cumulet.services.placement.logic.memory import Memory, Tree
from cumulet.services.placement.logic.search import Group, Query
from cumulet.services.placement.store import changes
from cumulet.services.placement.tables import change
from cumulet.services.placement.types import SHARING

UUIDS = [f"33333333-0000-4000-8000-00000000000{number}" for number in range(5)]
AGGREGATE = "aaaaaaaa-0000-4000-8000-000000000001"
HOST, OTHER = UUIDS[:2]
WAIT = 8.0  # seconds; the server ends a transaction that rests for ten


def seen(memory, db):
    """Everything that a search would look at, in plain words."""

    def plain(node):
        stock = {name: (node.capacity[at], node.used[at], node.room[at]) for name, at in node.kind.places.items()}
        return node.uuid, node.name, node.parent, node.root, stock, node.traits, node.aggregates

    with memory.fresh(db) as fresh:
        trees = [[plain(node) for node in (tree.nodes if isinstance(tree, Tree) else (tree,))] for tree in fresh.trees]
        return trees, {uuid: plain(node) for uuid, node in fresh.sharing.items()}


def make(tx, uuid=HOST, total=8, name=None):
    placement = Placement(Memory())
    placement.ensure_provider(tx, uuid, name or uuid)
    placement.set_inventory(tx, uuid, {"VCPU": Inventory(total=total)})


def found(memory, source, amount=1):
    query = Query({"": Group({"VCPU": amount})})
    return [each.anchor for each in candidates.candidates(memory, source, query)]


uuids, texts = st.sampled_from(UUIDS), st.sampled_from("abcdef")
STEPS = st.one_of(
    st.tuples(st.just("ensure"), uuids, texts, st.sampled_from([None, *UUIDS])),
    st.tuples(st.just("delete"), uuids),
    st.tuples(st.just("stock"), uuids, st.dictionaries(st.sampled_from(["VCPU", "DISK_GB"]), st.integers(1, 9))),
    st.tuples(st.just("traits"), uuids, st.sets(st.sampled_from(["HW_CPU_X86_VMX", SHARING]))),
    st.tuples(st.just("aggregates"), uuids, st.sets(st.just(AGGREGATE))),
    st.tuples(st.just("claim"), uuids, uuids, st.integers(0, 4)),
    st.tuples(st.just("fail"), uuids),
)


QUERIES = (
    Query({"": Group({"VCPU": 2})}),
    Query({"": Group({"VCPU": 1, "DISK_GB": 2}, required=[frozenset({"HW_CPU_X86_VMX"})])}),
    Query({"1": Group({"VCPU": 1}), "2": Group({"DISK_GB": 1}, member_of=[frozenset({AGGREGATE})])}),
    Query({"1": Group({"VCPU": 1}, in_tree=HOST), "": Group({"DISK_GB": 1})}, nested=False),
)


def perform(tx, step):
    placement = Placement(Memory())
    match step:
        case "ensure", uuid, name, parent:
            placement.ensure_provider(tx, uuid, name, parent)
        case "delete", uuid:
            placement.delete_provider(tx, uuid)
        case "stock", uuid, totals:
            placement.set_inventory(tx, uuid, {name: Inventory(total=total) for name, total in totals.items()})
        case "traits", uuid, traits:
            placement.set_traits(tx, uuid, traits)
        case "aggregates", uuid, aggregates:
            placement.set_aggregates(tx, uuid, aggregates)
        case "claim", uuid, consumer, amount:
            placement.claim(tx, consumer, {uuid: {"VCPU": amount}} if amount else {}, "project", "user")
        case "fail", uuid:
            placement.set_traits(tx, uuid, ["HW_CPU_X86_SVM"])
            raise Conflict("it is not to be")


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(STEPS, min_size=1, max_size=4), max_size=8))
def test_the_memory_is_what_the_database_holds(db, transactions):
    def clear(tx):
        for _ in UUIDS:
            for uuid in UUIDS:
                Placement(Memory()).release(tx, uuid)
                if not any(each.parent_uuid == uuid for each in providers.find_all(tx, providers.Filters())):
                    providers.remove(tx, uuid)

    db.write(clear)
    memory = Memory()
    for steps in transactions:
        with contextlib.suppress(CumuletError):
            db.write(lambda tx, steps=steps: [perform(tx, step) for step in steps])
        assert seen(memory, db) == seen(Memory(), db)
        for query in QUERIES:
            in_transaction = db.write(lambda tx, query=query: candidates.candidates(Memory(), tx, query))
            assert candidates.candidates(memory, db, query) == in_transaction


def test_what_another_process_wrote_is_found(db, again):
    memory, other = Memory(), again()
    assert found(memory, db) == []
    other.write(lambda tx: make(tx))
    assert found(memory, db) == [HOST]
    other.write(lambda tx: Placement(Memory()).claim(tx, OTHER, {HOST: {"VCPU": 8}}, "project", "user"))
    assert found(memory, db) == []
    other.write(lambda tx: Placement(Memory()).release(tx, OTHER))
    assert found(memory, db) == [HOST]
    other.write(lambda tx: Placement(Memory()).delete_provider(tx, HOST))
    assert found(memory, db) == []


def test_a_search_in_a_transaction_sees_what_that_wrote_and_nobody_else_does(db):
    memory = Memory()

    def write(tx):
        make(tx)
        assert found(memory, tx) == [HOST]
        raise Conflict("it is not to be")

    with pytest.raises(Conflict):
        db.write(write)
    assert found(memory, db) == []


def test_a_transaction_that_began_first_and_ends_last_is_found(db, again, engine):
    """Its number is smaller than that of what was found before."""
    if engine == "sqlite":
        pytest.skip("there is one writer at a time")
    memory, other = Memory(), again()
    written, over = threading.Event(), threading.Event()
    db.write(lambda tx: [make(tx, uuid, total=1) for uuid in (HOST, OTHER)])
    assert found(memory, db, 2) == []

    def grow(tx, uuid):
        Placement(Memory()).set_inventory(tx, uuid, {"VCPU": Inventory(total=2)})

    def slow(tx):
        grow(tx, HOST)
        written.set()
        assert over.wait(WAIT)

    thread = threading.Thread(target=other.write, args=(slow,))
    thread.start()
    assert written.wait(WAIT)
    try:
        db.write(lambda tx: grow(tx, OTHER))
        assert found(memory, db, 2) == [OTHER]
        assert found(memory, db, 2) == [OTHER]
    finally:
        over.set()
        thread.join(WAIT)
    assert found(memory, db, 2) == [HOST, OTHER]


def test_what_has_not_changed_is_not_read_again(db):
    memory = Memory()
    db.write(lambda tx: [make(tx, HOST), make(tx, OTHER)])
    with memory.fresh(db):
        host, other = memory.trees
    db.write(lambda tx: make(tx, OTHER, total=4))
    with memory.fresh(db):
        assert memory.trees[0] is host
        assert memory.trees[1] is not other


def test_writers_that_never_rest_do_not_stop_a_search(db):
    memory, stop = Memory(), threading.Event()
    db.write(make)

    def write():
        for number in range(10_000):
            if stop.is_set():
                return
            db.write(lambda tx, number=number: make(tx, HOST, total=8 + number % 2))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert all(found(memory, db) == [HOST] for _ in range(50))
    finally:
        stop.set()
        thread.join(WAIT)


def test_notes_of_another_server_are_settled(db):
    class Cloud:
        pass

    cloud = Cloud()
    cloud.db = db
    memory = Memory()
    db.write(make)
    now = changes.moment(db)
    far = now.end + 10**12
    db.write(lambda tx: sql.execute(tx, update(change).values(number=far)))
    if changes.moment(db).end <= far:  # numbers are the server's, which has not come so far
        assert changes.foreign(db) == [(HOST, far)]
        notes.settle_foreign(cloud)
    assert changes.foreign(db) == []
    assert found(memory, db) == [HOST]
    assert changes.since(db, changes.moment(db))[1] == []


def test_notes_on_what_is_gone_are_removed_when_everybody_has_heard(db):
    def numbers():
        return {uuid for _, uuid in [(None, each) for each in sql.column(db, change.select())]}

    horizon = notes.Horizon()
    db.write(lambda tx: [make(tx, HOST), make(tx, OTHER)])
    db.write(lambda tx: Placement(Memory()).delete_provider(tx, HOST))
    horizon.move(db)
    db.write(lambda tx: make(tx, OTHER, total=1))
    horizon.move(db)
    assert numbers() == {HOST, OTHER}
    horizon.move(db)
    assert numbers() == {OTHER}


def test_one_life_of_a_server_is_told_from_the_next():
    first = changes.Moment("", "a", 5, ())
    assert first.precedes(changes.Moment("", "a", 5, ()))
    assert not first.precedes(changes.Moment("", "a", 4, ()))
    assert not first.precedes(changes.Moment("", "b", 9, ()))


def test_the_order_is_a_choice(db):
    """Each host has two disks, so that there are two ways to serve a request by it."""
    memory, placement = Memory(), Placement(Memory())
    disks = {UUIDS[2]: HOST, UUIDS[3]: OTHER}

    def write(tx):
        for host in disks.values():
            placement.ensure_provider(tx, host, host)
            placement.set_inventory(tx, host, {"DISK_GB": Inventory(total=8)})
        for disk, host in disks.items():
            placement.ensure_provider(tx, disk, disk, host)
            placement.set_inventory(tx, disk, {"DISK_GB": Inventory(total=8)})

    db.write(write)

    def anchors(limit=None, **order):
        query = Query({"": Group({"DISK_GB": 1})}, limit=limit)
        return [each.anchor for each in candidates.find(memory, db, query, Order(**order)).found]

    assert anchors() == [HOST, HOST, OTHER, OTHER]
    assert anchors(breadth_first=True) == [HOST, OTHER, HOST, OTHER]
    assert anchors(most=3) == [HOST, HOST, OTHER]
    assert anchors(2, most=3) == [HOST, HOST]
    assert anchors(2, breadth_first=True) == [HOST, OTHER]
    assert set(anchors(1, most=2, shuffled=True)) <= {HOST}
    assert Counter(anchors(shuffled=True)) == {HOST: 2, OTHER: 2}
    assert {anchors(1, shuffled=True)[0] for _ in range(64)} == {HOST, OTHER}
