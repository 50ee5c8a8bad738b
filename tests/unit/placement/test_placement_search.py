# SPDX-License-Identifier: Apache-2.0
"""The search for candidates against the definition of one, tried on every assignment of small worlds."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.services.placement.logic.memory import Memory
from cumulet.services.placement.logic.nodes import Maker, Node, Stock
from cumulet.services.placement.logic.search import Group, Query, World, search
from cumulet.services.placement.logic.walk import alone, walk
from cumulet.services.placement.types import SHARING

CLASSES = ("VCPU", "DISK_GB")
TRAITS = ("A", "B", SHARING)
AGGREGATES = ("x", "y")


@st.composite
def worlds(draw):
    nodes, maker = {}, Maker()
    for number in range(draw(st.integers(1, 5))):
        uuid = f"p{number}"
        parent = draw(st.sampled_from([None, *nodes])) if nodes else None
        root = nodes[parent].root if parent else uuid
        stock, used = [], {}
        for name in sorted(draw(st.sets(st.sampled_from(CLASSES)))):
            total = draw(st.integers(1, 4))
            limits = (draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([2, 9])), draw(st.sampled_from([1, 1, 2])))
            stock.append(Stock(name, total, 0, 1.0, *limits))
            used[name] = draw(st.integers(0, 2))
        traits = draw(st.frozensets(st.sampled_from(TRAITS)))
        aggregates = draw(st.frozensets(st.sampled_from(AGGREGATES)))
        nodes[uuid] = maker.node((uuid, uuid, parent, root), stock, used, traits, aggregates)
    return World(nodes)


def sets(values):
    return st.frozensets(st.sampled_from(values), min_size=1, max_size=2)


@st.composite
def groups(draw, *, empty=False):
    return Group(
        draw(st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 3), min_size=0 if empty else 1)),
        required=draw(st.lists(sets("AB"), max_size=1)),
        forbidden=draw(st.sampled_from([frozenset(), frozenset(), frozenset("A")])),
        member_of=draw(st.lists(sets(AGGREGATES), max_size=2)),
        not_member_of=draw(st.sampled_from([frozenset(), frozenset(), frozenset("y")])),
        in_tree=draw(st.sampled_from([None, None, "p0"])),
    )


@st.composite
def queries(draw):
    found = {"": draw(groups())} if draw(st.booleans()) else {"1": draw(groups())}
    for suffix in draw(st.sets(st.sampled_from(["2", "3"]), max_size=2)):
        found[suffix] = draw(groups(empty=True))
    suffixes = frozenset(found) - {""}
    return Query(
        found,
        isolate=draw(st.booleans()),
        root_required=draw(st.sampled_from([frozenset(), frozenset(), frozenset("B")])),
        root_forbidden=draw(st.sampled_from([frozenset(), frozenset(), frozenset("A")])),
        same_subtrees=[suffixes] if len(suffixes) > 1 and draw(st.booleans()) else [],
        nested=draw(st.sampled_from([True, True, False])),
    )


def naive(world, query):
    """All candidates by the definition: every provider for every class of every group, under every anchor."""
    places = [(suffix, name) for suffix, group in query.groups.items() for name in group.resources or (None,)]
    found = set()
    for root, chosen in product(world.nodes.values(), product(world.nodes.values(), repeat=len(places))):
        served = dict(zip(places, chosen, strict=True))
        if root.parent is None and is_candidate(world, query, root, served):
            found.add(frozen(query, served))
    return found


def is_candidate(world, query, root, served):
    total = {}
    for (suffix, name), node in served.items():
        if name is not None:
            total[node.uuid, name] = total.get((node.uuid, name), 0) + query.groups[suffix].resources[name]
    lone = {one: {node.uuid for (of, _), node in served.items() if of == one} for one in query.groups if one}
    claimed = {uuid for uuid, _ in total}
    return (
        query.root_required <= root.traits
        and not query.root_forbidden & root.traits
        and all(serves(world, root, query.groups[of], of, name, node) for (of, name), node in served.items())
        and all(len(nodes) == 1 for nodes in lone.values())
        and has_traits(query, served)
        and all(amount <= world.nodes[uuid].room_of(name) for (uuid, name), amount in total.items())
        and (not query.isolate or len(set().union(*lone.values())) == len(lone))
        and all(is_subtree(world, set().union(*(lone[of] for of in each))) for each in query.same_subtrees)
        and (query.nested or len({world.nodes[uuid].root for uuid in claimed}) == len(claimed))
    )


def serves(world, root, group, suffix, name, node):
    shares = node.root != root.uuid
    reaches = not shares or (
        SHARING in node.traits
        and any(node.aggregates & each.aggregates for each in world.nodes.values() if each.root == root.uuid)
    )
    is_member = all(node.aggregates & each for each in group.member_of)
    shunned = node.aggregates & group.not_member_of
    in_tree = group.in_tree is None or node.root == world.nodes[group.in_tree].root
    if not suffix:
        is_member = is_member or (not shares and all(root.aggregates & each for each in group.member_of))
        shunned = shunned or root.aggregates & group.not_member_of
        in_tree = in_tree and not (group.in_tree is not None and shares)
    has_room = name is None or node.has_room(name, group.resources[name])
    return reaches and is_member and not shunned and in_tree and has_room and not group.forbidden & node.traits


def has_traits(query, served):
    for suffix, group in query.groups.items():
        traits = frozenset().union(*(node.traits for (of, _), node in served.items() if of == suffix))
        if not all(traits & each for each in group.required):
            return False
    return True


def is_subtree(world, uuids):
    return any(all(top in world.ancestors(uuid) for uuid in uuids) for top in uuids)


def frozen(query, served):
    total, mappings = {}, {}
    for (suffix, name), node in served.items():
        mappings.setdefault(suffix, set()).add(node.uuid)
        if name is not None:
            pair = (node.uuid, name)
            total[pair] = total.get(pair, 0) + query.groups[suffix].resources[name]
    return (
        frozenset((*pair, amount) for pair, amount in total.items()),
        frozenset((suffix, frozenset(uuids)) for suffix, uuids in mappings.items()),
    )


def found_by_search(world, query):
    return [plain(each) for each in search(world, query)]


def plain(candidate):
    claims = candidate.claims.items()
    return (
        frozenset((uuid, name, amount) for uuid, amounts in claims for name, amount in amounts.items()),
        frozenset((suffix, frozenset(uuids)) for suffix, uuids in candidate.mappings.items()),
    )


def remembered(world):
    """A memory that holds the world."""
    memory = Memory()
    memory.take_over(list(world.nodes), world.nodes)
    return memory


def found_by_walk(memory, query, **how):
    found = walk(memory, query, **how)
    return [plain(alone(query, each.uuid) if isinstance(each, Node) else each) for each in found]


@settings(max_examples=200, deadline=None)
@given(worlds(), queries())
def test_the_search_finds_what_the_definition_says(world, query):
    found = found_by_search(world, query)
    assert len(found) == len(set(found))
    assert set(found) == naive(world, query)


@given(worlds(), queries(), st.integers(1, 3))
def test_a_limit_takes_the_first_ones(world, query, limit):
    limited = Query(
        query.groups,
        query.isolate,
        query.root_required,
        query.root_forbidden,
        query.same_subtrees,
        query.nested,
        limit,
    )
    assert found_by_search(world, limited) == found_by_search(world, query)[:limit]


@settings(max_examples=150)
@given(worlds(), queries())
def test_a_walk_finds_what_the_search_does_in_the_same_order(world, query):
    assert found_by_walk(remembered(world), query) == found_by_search(world, query)


@settings(max_examples=60)
@given(worlds(), queries())
def test_a_walk_breadth_first_finds_the_same_and_one_of_each_tree_first(world, query):
    found = found_by_walk(remembered(world), query, breadth_first=True)
    everything = list(search(world, query))
    assert sorted(found, key=repr) == sorted(map(plain, everything), key=repr)
    if any(SHARING in node.traits for node in world.nodes.values()):
        return  # one candidate may be that of several trees, and which of them has it first is a matter of order
    anchors = [each.anchor for each in everything]
    first = [plain(each) for number, each in enumerate(everything) if each.anchor not in anchors[:number]]
    assert found[: len(first)] == first


def test_a_shared_disk_serves_every_host_of_its_aggregate():
    def node(uuid, name, traits=()):
        return Maker().node((uuid, uuid, None, uuid), [Stock(name, 10, 0, 1.0, 1, 10, 1)], {}, traits, "x")

    nodes = (node("host-1", "VCPU"), node("host-2", "VCPU"), node("store", "DISK_GB", [SHARING]))
    world = World({each.uuid: each for each in nodes})
    found = list(search(world, Query({"": Group({"VCPU": 1, "DISK_GB": 5})})))
    assert [each.anchor for each in found] == ["host-1", "host-2"]
    assert found[0].claims == {"host-1": {"VCPU": 1}, "store": {"DISK_GB": 5}}
    assert found[0].mappings == {"": ["host-1", "store"]}
