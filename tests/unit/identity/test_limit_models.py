# SPDX-License-Identifier: Apache-2.0
"""Limits in two levels: a project's is never above its domain's, and trees end at two."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import Forbidden
from cumulet.services.identity.logic import domains, limits, projects, registered_limits, services
from cumulet.settings.identity import Identity

CTX = Context(system_scope="all")


class Stage:
    """A domain with a project, and a registered limit of ten."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.domain = domains.create(cloud, {"name": "law"}).id
        self.project = projects.create(cloud, CTX, {"name": "court", "domain_id": self.domain}).id
        service = services.create(cloud, {"type": f"type-{ids.new_hex()}", "name": "x"})
        self.words = {"service_id": service.id, "resource_name": "things"}
        registered_limits.create(cloud, [{**self.words, "default_limit": 10}])

    def limit(self, amount: int, **owner: str) -> dict[str, Any]:
        return {**self.words, "resource_limit": amount, **owner}

    def create(self, *several: dict[str, Any]) -> list[limits.Full]:
        return limits.create(self.cloud, several)


@pytest.fixture
def strict(cloud: Cloud) -> Stage:
    identity = Identity(limit_model="strict_two_level", bcrypt_rounds=4)
    cloud.settings = msgspec.structs.replace(cloud.settings, identity=identity)
    return Stage(cloud)


def test_a_project_is_bound_by_the_registered_limit(strict: Stage) -> None:
    with pytest.raises(Forbidden, match="current hierarchy model"):
        strict.create(strict.limit(11, project_id=strict.project))
    strict.create(strict.limit(10, project_id=strict.project))


def test_a_project_is_bound_by_its_domain(strict: Stage) -> None:
    own = strict.create(strict.limit(20, domain_id=strict.domain))[0].own.id
    project = strict.create(strict.limit(15, project_id=strict.project))[0].own.id
    with pytest.raises(Forbidden):
        limits.update(strict.cloud, own, {"resource_limit": 14})
    with pytest.raises(Forbidden):
        limits.update(strict.cloud, project, {"resource_limit": 21})
    limits.update(strict.cloud, own, {"resource_limit": 15})
    limits.update(strict.cloud, project, {"description": "as it is"})


def test_limits_that_come_together_are_held_against_each_other(strict: Stage) -> None:
    above, below = strict.limit(30, project_id=strict.domain), strict.limit(31, project_id=strict.project)
    with pytest.raises(Forbidden):
        strict.create(above, below)
    made = strict.create(above, {**below, "resource_limit": 30})
    assert made[0].own.domain_id == strict.domain


def test_trees_end_at_two_levels(strict: Stage) -> None:
    words = {"domain_id": strict.domain}
    second = projects.create(strict.cloud, CTX, {"name": "two", "parent_id": strict.project, **words})
    with pytest.raises(Forbidden, match="depth"):
        projects.create(strict.cloud, CTX, {"name": "three", "parent_id": second.id, **words})


def test_in_the_flat_model_no_limit_binds_another(cloud: Cloud) -> None:
    stage = Stage(cloud)
    stage.create(stage.limit(99, project_id=stage.project), stage.limit(1, domain_id=stage.domain))


def test_how_deep_a_tree_may_be_is_a_setting(cloud: Cloud) -> None:
    settings = Identity(max_project_tree_depth=1, bcrypt_rounds=4)
    cloud.settings = msgspec.structs.replace(cloud.settings, identity=settings)
    first = projects.create(cloud, CTX, {"name": "one"})
    with pytest.raises(Forbidden):
        projects.create(cloud, CTX, {"name": "two", "parent_id": first.id})
