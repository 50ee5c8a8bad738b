# SPDX-License-Identifier: Apache-2.0
"""Whatever is said to the image service, it answers, and never with a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cumulet.kernel.errors import Invalid
from cumulet.services.image.api import patch, ranges
from cumulet.services.image.api.dialect import _media_type
from support.cloud import RunningCloud
from support.people import environment

quickly = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("id", "name", "owner", "visibility", "disk_format", "min_disk", "min_ram", "protected", "tags", "locations")
IMAGES = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=10), JSON, max_size=5)
POINTERS = st.sampled_from([f"/{name}" for name in FIELDS] + ["/locations/-", "/tags/-", "name"]) | JSON
CHANGES = st.lists(
    st.fixed_dictionaries({"op": st.sampled_from(patch.OPERATIONS) | JSON, "path": POINTERS}, optional={"value": JSON})
    | JSON,
    max_size=4,
)
NAMES = ("name", "limit", "marker", "sort", "sort_key", "sort_dir", "created_at", "size_min", "os_hidden", "tag", "id")
WORDS = st.sampled_from(["in:a", "in:", 'in:"', "gt:2020-01-01", "eq:", ":", "-1", "true", "0", "9" * 30]) | st.text(
    max_size=12
)
QUERIES = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=8), WORDS), max_size=4)


@pytest.fixture(scope="module")
def people(cloud: RunningCloud) -> dict[str, str]:
    return environment(cloud)


@pytest.fixture(scope="module")
def http(cloud: RunningCloud, people: dict[str, str]) -> Iterator[httpx.Client]:
    headers = {"X-Auth-Token": people["ADMIN_TOKEN"], "Accept": "application/json"}
    with httpx.Client(base_url=f"{cloud.data_url}/image/v2", headers=headers) as client:
        yield client


@pytest.fixture(scope="module")
def image_id(http: httpx.Client) -> str:
    return str(http.post("/images", json={"disk_format": "raw", "container_format": "bare"}).json()["id"])


def answered(response: httpx.Response) -> None:
    assert response.status_code < 500, f"{response.request.method} {response.request.url}: {response.text}"


@quickly
@given(body=IMAGES | JSON)
def test_any_new_image(http: httpx.Client, body: Any) -> None:
    answered(http.post("/images", json=body))


@quickly
@given(changes=CHANGES)
def test_any_change(http: httpx.Client, image_id: str, changes: Any) -> None:
    answered(http.patch(f"/images/{image_id}", json=changes, headers={"Content-Type": patch.NEW}))


@quickly
@given(raw=st.binary(max_size=30))
def test_any_bytes(http: httpx.Client, image_id: str, raw: bytes) -> None:
    answered(http.post("/images", content=raw))
    answered(http.patch(f"/images/{image_id}", content=raw, headers={"Content-Type": patch.OLD}))
    answered(http.post(f"/images/{image_id}/members", content=raw))
    answered(http.post(f"/images/{image_id}/import", content=raw))


@quickly
@given(query=QUERIES)
def test_any_query(http: httpx.Client, query: list[tuple[str, str]]) -> None:
    answered(http.get("/images", params=query))
    answered(http.get("/tasks", params=query))


@quickly
@given(body=JSON)
def test_any_member_and_import(http: httpx.Client, image_id: str, body: Any) -> None:
    answered(http.post(f"/images/{image_id}/members", json={"member": body}))
    answered(http.put(f"/images/{image_id}/members/somebody", json={"status": body}))
    answered(http.post(f"/images/{image_id}/import", json={"method": {"name": body}}))
    answered(http.post("/tasks", json={"type": body, "input": body}))


@quickly
@given(name=st.text(min_size=1, max_size=300))
def test_any_tag(http: httpx.Client, image_id: str, name: str) -> None:
    answered(http.put(f"/images/{image_id}/tags/{httpx.URL('', params={'x': name}).query.decode()[2:]}"))


@given(
    text=st.text(max_size=20) | st.from_regex(r"bytes ?=? ?\d{0,3}-\d{0,3}(/\d+)?", fullmatch=True),
    size=st.integers(0, 500),
)
def test_any_range_lies_within_the_data(text: str, size: int) -> None:
    for header in ("range", "content-range"):
        try:
            found = ranges.parse({header: text}, size)
        except Invalid:
            continue
        assert found is not None
        assert 0 <= found[0] <= found[1] <= size


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain"),
        ("*/*", "text/html"),
        ("application/json", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("application/json;q=0.1, text/*;q=0.2", "text/html"),
        ("image/png", "text/plain"),
        ("application/json;q=0", "text/plain"),
        (";;q=,", "text/plain"),
    ],
)
def test_errors_come_as_the_caller_wants_them(accept: str, kind: str) -> None:
    assert _media_type(accept) == kind
