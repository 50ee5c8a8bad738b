# SPDX-License-Identifier: Apache-2.0
"""Bad input is the caller's fault: whatever is sent to whichever route, no answer is a 500."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cumulet.kernel.http import Route
from cumulet.services.identity.api import API
from support.cloud import RunningCloud
from support.people import environment

WORDS = (
    "id", "name", "domain_id", "parent_id", "enabled", "options", "tags", "description", "password", "auth", "identity",
    "methods", "scope", "user", "project", "domain", "system", "token", "immutable", "type", "url", "interface", "blob",
    "service_id", "region_id", "roles", "expires_at", "secret", "resource_name", "default_limit", "resource_limit",
    "application_credential", "credential", "region", "role", "group", "service", "endpoint", "limits", "limit",
    "registered_limits", "registered_limit", "original_password", "all", "is_domain", "default_project_id",
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8), st.sampled_from([*WORDS, "default", "admin", "0" * 32, "", " ", "{", "x" * 300]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=10,
)
QUERIES = st.dictionaries(
    st.sampled_from(
        [*WORDS, "limit", "marker", "since", "name__contains", "enabled__x", "scope.project.id", "scope.domain.id",
         "effective", "include_names", "include_subtree", "user.id", "group.id", "subtree_as_ids", "parents_as_list",
         "tags-any", "not-tags", "allow_expired", "cascade", "nocatalog"]
    ),
    st.text(max_size=6) | st.sampled_from(["1", "0", "-1", "default", "2020-01-01T00:00:00Z", "all", "true"]),
    max_size=4,
)  # fmt: skip
BODIES = st.one_of(
    VALUES,
    st.sampled_from(WORDS).flatmap(lambda word: st.fixed_dictionaries({word: VALUES})),
    st.sampled_from(WORDS).flatmap(
        lambda word: st.fixed_dictionaries({word: st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=6)})
    ),
)


def like(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that nearly fit a schema: any part may be left out, or be of another kind."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | SCALARS
    kinds = schema.get("type", "object")
    found: list[st.SearchStrategy[Any]] = [SCALARS]
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind == "object":
            properties = {name: like(part) for name, part in schema.get("properties", {}).items()}
            found += [st.fixed_dictionaries({}, optional=properties), st.fixed_dictionaries(properties)]
        elif kind == "array":
            found.append(st.lists(like(schema.get("items", {"type": "string"})), max_size=3))
        elif kind == "string":
            found.append(st.text("ab1-:/ ", min_size=1, max_size=12))
        elif kind == "integer":
            found.append(st.integers(-5, 5))
    return st.one_of(*reversed(found))


def bodies(route: Route) -> st.SearchStrategy[Any]:
    return BODIES if route.body is None else like(route.body.document) | BODIES


class Client:
    """An administrator, and the ids of things that may be broken."""

    def __init__(self, cloud: RunningCloud) -> None:
        values = environment(cloud)
        self.ids = [
            values["DOMAIN_ID"],
            values["OTHER_PROJECT_ID"],
            values["OTHER_USER_ID"],
            "nothing",
            "x" * 300,
            "a b",
        ]
        headers = {"X-Auth-Token": values["ADMIN_TOKEN"]}
        self.http = httpx.Client(base_url=f"{cloud.control_url}/identity/v3", headers=headers, timeout=30)


@pytest.fixture(scope="module")
def client(cloud: RunningCloud) -> Iterator[Client]:
    made = Client(cloud)
    yield made
    made.http.close()


@settings(max_examples=700, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.sampled_from(API.routes), query=QUERIES, data=st.data())
def test_no_input_is_a_bug(client: Client, route: Route, query: dict[str, str], data: st.DataObject) -> None:
    path = re.sub(r"{\w+}", lambda _: client.ids[data.draw(st.integers(0, len(client.ids) - 1))], route.path)
    body = data.draw(bodies(route))
    answer = client.http.request(route.method, path, json=body, params=query)
    assert answer.status_code < 500 or answer.status_code == 501, (route.method, path, query, body, answer.text)
    if answer.status_code >= 400 and route.method != "HEAD":
        assert set(answer.json()["error"]) >= {"code", "message", "title"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=300), raw=st.binary(max_size=60))
def test_no_token_is_a_bug(client: Client, token: str, raw: bytes) -> None:
    for headers in ({"X-Auth-Token": token}, {"X-Subject-Token": token}, {"X-Service-Token": token}):
        assert client.http.get("/auth/tokens", headers=headers).status_code in (200, 401, 404)
    assert client.http.post("/auth/tokens", content=raw).status_code in (400, 401)
