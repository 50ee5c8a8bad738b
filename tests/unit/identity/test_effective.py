# SPDX-License-Identifier: Apache-2.0
"""Roles in effect, held against a slow and plain account of what they should be."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.identity.logic import effective, groups, projects, users
from cumulet.services.identity.store import assignments, roles
from cumulet.services.identity.types import SYSTEM_ID, Actor, Assignment, Target

CTX = Context(system_scope="all")
ROLES = ("manager", "member", "reader", "service")
IMPLIED = {"manager": {"member", "reader"}, "member": {"reader"}}
TREE = {"top": "default", "middle": "top", "leaf": "middle", "aside": "default"}

given_ = st.tuples(
    st.sampled_from(["user", "group", "stranger"]),
    st.sampled_from(["default", "system", *TREE]),
    st.sampled_from(ROLES),
    st.booleans(),
)


def expected(grants: list[tuple[str, str, str, bool]], place: str) -> set[str]:
    """The roles on `place`, by the rules as they are told."""
    above = []
    at = place
    while at in TREE:
        at = TREE[at]
        above.append(at)
    direct = {
        role
        for actor, target, role, inherited in grants
        if actor != "stranger" and ((target == place and not inherited) or (inherited and target in above))
    }
    return direct | {implied for role in direct for implied in IMPLIED.get(role, ())}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grants=st.lists(given_, max_size=8))
def test_roles_in_effect(cloud: Cloud, grants: list[tuple[str, str, str, bool]]) -> None:
    ids = _scene(cloud)
    kept = [one for one in grants if not (one[1] == "system" and one[3])]

    def write(tx: Tx) -> None:
        for actor in ("user", "group", "stranger"):
            kind = Actor.GROUP if actor == "group" else Actor.USER
            assignments.remove_all(tx, actor=kind, actor_id=ids[actor])
        for actor, target, role, inherited in kept:
            kind = Actor.GROUP if actor == "group" else Actor.USER
            found = roles.find_by_name(tx, role)
            assert found is not None
            places = {"default": Target.DOMAIN, "system": Target.SYSTEM}
            where = places.get(target, Target.PROJECT)
            assignments.add(tx, Assignment(kind, ids[actor], where, ids[target], found.id, inherited))

    cloud.db.write(write)
    for name in TREE:
        found = effective.on_project(cloud.db, ids["user"], projects.get(cloud.db, ids[name]))
        assert {role.name for role in found} == expected(kept, name)
    assert {role.name for role in effective.on_domain(cloud.db, ids["user"], "default")} == expected(kept, "default")
    assert {role.name for role in effective.on_system(cloud.db, ids["user"])} == expected(kept, "system")


def _scene(cloud: Cloud) -> dict[str, str]:
    if not hasattr(cloud, "scene"):
        ids = {"default": "default", "system": SYSTEM_ID}
        for name, parent in TREE.items():
            ids[name] = projects.create(cloud, CTX, {"name": name, "parent_id": ids[parent]}).id
        ids["user"] = users.create(cloud, CTX, {"name": "user"}).id
        ids["stranger"] = users.create(cloud, CTX, {"name": "stranger"}).id
        ids["group"] = groups.create(cloud, CTX, {"name": "group"}).id
        groups.join(cloud, ids["group"], ids["user"])
        cloud.scene = ids  # type: ignore[attr-defined]
    return cloud.scene  # type: ignore[attr-defined,no-any-return]
