# SPDX-License-Identifier: Apache-2.0
"""Bad input is the caller's fault: whatever stands in a body, a query or a path, no answer is a bug."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from cumulet.kernel.http import Route
from cumulet.services.compute.api import API
from support.cloud import RunningCloud
from support.people import environment

NASTY: list[Any] = [
    None, True, -1, 0, 1, 1.5, 2**70, "", " ", "x", "1", "-1", "\u0000", "x" * 300, "\uff11", "\u00b2", "true",
    [], [None], ["x"], ["x", "x"], [{}], [{"uuid": "x"}], {}, {"x": 1}, {"x": None}, "[", "a:b", "9" * 30,
    "00000000-0000-4000-8000-000000000000", [{"uuid": "00000000-0000-4000-8000-000000000000"}], "10.0.0.1/33", "none",
    [{"source_type": "image", "boot_index": 0}], [{"source_type": "blank", "destination_type": "volume"}],
    {"group": "x"},
]  # fmt: skip
WORDS = ["", "x", "-1", "9" * 30, "\uff11", "\u00b2", "\u0000", "true", "2020-01-01T00:00:00", "[", "%", "a,b", "None"]
IDS = ["x", "1", "9" * 30, "\u00b2", "00000000-0000-4000-8000-000000000000", "a b", "x" * 300]
VERSIONS = [(2, 1), (2, 35), (2, 52), (2, 60), (2, 90), (2, 104)]
WITH_BODY = [route for route in API.routes if route.body is not None]
WITH_QUERY = [route for route in API.routes if route.query is not None]


def name_of(route: Route) -> str:
    return f"{route.method} {route.path} {route.action or ''}".strip()


@pytest.fixture(scope="module")
def ids(cloud: RunningCloud) -> Iterator[dict[str, str]]:
    """Things that are there, by their variable in paths, and the headers of an administrator."""
    words = environment(cloud)
    headers = {"x-auth-token": words["ADMIN_TOKEN"]}
    with httpx.Client(base_url=cloud.control_url, headers=headers, timeout=60) as http:
        flavor = {"name": f"bad-{words['SUFFIX']}", "ram": 64, "vcpus": 1, "disk": 0}
        found = http.post("/compute/v2.1/flavors", json={"flavor": flavor}).json()["flavor"]["id"]
        server = {
            "name": "bad",
            "flavorRef": found,
            "networks": "none",
            "imageRef": "",
            "block_device_mapping_v2": [
                {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "boot_index": 0}
            ],
        }
        made = http.post(
            "/compute/v2.1/servers", json={"server": server}, headers={"openstack-api-version": "compute 2.60"}
        )
        yield {
            "server_id": made.json()["server"]["id"],
            "flavor_id": found,
            "owner_id": words["OTHER_PROJECT_ID"],
            "token": words["ADMIN_TOKEN"],
        }
        http.delete(f"/compute/v2.1/servers/{made.json()['server']['id']}")


@pytest.fixture(scope="module")
def client(cloud: RunningCloud, ids: dict[str, str]) -> Iterator[httpx.Client]:
    headers = {"x-auth-token": ids["token"]}
    with httpx.Client(base_url=f"{cloud.control_url}/compute/v2.1", headers=headers, timeout=60) as found:
        yield found
        # Other tests count on the project's quota.
        for path, noun in (
            ("os-security-groups", "security_groups"),
            ("os-floating-ips", "floating_ips"),
            ("os-snapshots", "snapshots"),
            ("os-volumes", "volumes"),
        ):
            for each in found.get(f"/{path}").json()[noun]:
                found.delete(f"/{path}/{each['id']}")


def path_of(route: Route, ids: Mapping[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda found: ids.get(found[1], "1"), route.path)


def version_of(route: Route) -> tuple[int, int]:
    """The newest of `VERSIONS` at which the route is served."""
    return [version for version in VERSIONS if route.serves(version)][-1]


def example(schema: Mapping[str, Any]) -> Any:
    """The least that nearly fits a plain schema."""
    if "enum" in schema:
        return schema["enum"][0]
    if "oneOf" in schema or ("anyOf" in schema and "type" not in schema):
        return example((schema.get("oneOf") or schema["anyOf"])[0])
    if "allOf" in schema:
        return example(schema["allOf"][0])
    kinds = schema.get("type", "string")
    match kinds if isinstance(kinds, str) else kinds[0]:
        case "object":
            properties = schema.get("properties", {})
            return {name: example(properties[name]) for name in schema.get("required", ()) if name in properties}
        case "array":
            return [example(schema.get("items", {}))] if schema.get("minItems") else []
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case "null":
            return None
    return "00000000-0000-4000-8000-000000000000" if schema.get("format") == "uuid" else "something"


def spoiled(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Bodies that differ from the example in one property, of those up to three levels down."""
    yield from NASTY
    base = example(schema)
    for name, part in schema.get("properties", {}).items():
        for value in spoiled(part) if part.get("properties") else NASTY:
            yield {**base, name: value} if isinstance(base, dict) else value


def is_no_bug(answer: httpx.Response) -> bool:
    return answer.status_code < 500 or answer.status_code == 501


@pytest.mark.in_turn
@pytest.mark.parametrize("route", WITH_BODY, ids=name_of)
def test_no_body_is_a_bug(client: httpx.Client, ids: dict[str, str], route: Route) -> None:
    version = version_of(route)
    headers = {"openstack-api-version": f"compute {version[0]}.{version[1]}"}
    assert route.body is not None
    wrong = []
    for body in spoiled(route.body.at(version)):
        answer = client.request(route.method, path_of(route, ids), json=body, headers=headers)
        if not is_no_bug(answer):
            wrong.append((body, answer.text))
    assert not wrong


@pytest.mark.in_turn
@pytest.mark.parametrize("route", WITH_QUERY, ids=name_of)
def test_no_query_is_a_bug(client: httpx.Client, ids: dict[str, str], route: Route) -> None:
    assert route.query is not None
    wrong = []
    for version in {VERSIONS[0], version_of(route)}:
        if not route.serves(version):
            continue
        headers = {"openstack-api-version": f"compute {version[0]}.{version[1]}"}
        for name in [*route.query.at(version)["properties"], "colour"]:
            for value in WORDS:
                answer = client.request(route.method, path_of(route, ids), params={name: value}, headers=headers)
                if not is_no_bug(answer):
                    wrong.append((version, name, value, answer.text))
    assert not wrong


@pytest.mark.in_turn
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: f"2.{version[1]}")
def test_no_path_is_a_bug(client: httpx.Client, version: tuple[int, int]) -> None:
    headers = {"openstack-api-version": f"compute {version[0]}.{version[1]}"}
    wrong = []
    for route in API.routes:
        for value in IDS if "{" in route.path and route.serves(version) else ():
            path = re.sub(r"{\w+}", lambda _, value=value: value, route.path)
            body = {route.action: None} if route.action else {}
            answer = client.request(route.method, path, json=None if route.method == "GET" else body, headers=headers)
            if not is_no_bug(answer):
                wrong.append((route.method, path, answer.text))
    assert not wrong
