# SPDX-License-Identifier: Apache-2.0
"""The JSON Home document says what is served, and who gets it."""

from __future__ import annotations

import pytest

from cumulet.services.identity.api import API, json_home

ROOT = "https://docs.openstack.org/api/openstack-identity/3"


def test_it_holds_what_is_served_and_nothing_else() -> None:
    resources = json_home.document(API.routes)["resources"]
    for resource in resources.values():
        path = resource.get("href") or resource["href-template"]
        assert any(node.routes for node, _ in API.tree.find("/v3" + path.replace("{", "").replace("}", "")))
    assert json_home.document([]) == {"resources": {}}


def test_parameters_are_named_by_whoever_brought_them_in() -> None:
    resources = json_home.document(API.routes, "/v3")["resources"]
    group = resources[f"{ROOT}/ext/OS-EP-FILTER/1.0/rel/endpoint_group_to_project_association"]
    assert group["href-vars"] == {
        "endpoint_group_id": f"{ROOT}/ext/OS-EP-FILTER/1.0/param/endpoint_group_id",
        "project_id": f"{ROOT}/param/project_id",
    }
    assert resources[f"{ROOT}/rel/limit_model"] == {"href": "/v3/limits/model", "hints": {"status": "experimental"}}
    assert resources[f"{ROOT}/rel/implied_roles"]["href-vars"] == {"prior_role_id": f"{ROOT}/param/role_id"}


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("application/json-home", True),
        ("application/json-home, */*", True),
        ("application/json, application/json-home", False),
        ("application/json;q=0.5, application/json-home", True),
        ("application/json-home;q=0.1, application/json;q=0.2", False),
        ("application/json-home;q=x", False),
        ("*/*", False),
        ("text/html", False),
        ("", False),
    ],
)
def test_it_is_for_whoever_would_rather_have_it(accept: str, wanted: bool) -> None:
    assert json_home.is_asked_for(accept) is wanted
