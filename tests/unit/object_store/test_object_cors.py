# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins, and of other domains."""

from __future__ import annotations

import httpx
import pytest

from unit.object_store.feature_stores import store

ORIGIN = {"origin": "https://page.example"}
ALLOWED = "x-container-meta-access-control-allow-origin"


@pytest.fixture(scope="module")
def shared():
    with store() as found:
        client = found.client()
        client.put("/c", headers={ALLOWED: "https://other.example https://page.example"})
        client.post(
            "/c",
            headers={
                "x-container-meta-access-control-max-age": "60",
                "x-container-meta-access-control-expose-headers": "X-Seen",
            },
        )
        client.put("/c/o", content=b"body", headers={"x-object-meta-colour": "red"})
        client.put("/all", headers={ALLOWED: "*"})
        client.put("/none")
        client.put("/none/o", content=b"body")
        yield found


def ask(store_, path, **headers):
    return store_.client("").options(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_what_may_be_done_with_each_kind_of_path(shared):
    assert ask(shared, "").headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert ask(shared, "/c").headers["allow"] == "DELETE, GET, HEAD, OPTIONS, POST, PUT"
    answer = ask(shared, "/c/o")
    assert (answer.status_code, answer.headers["allow"]) == (200, "DELETE, GET, HEAD, OPTIONS, POST, PUT, COPY")
    assert "access-control-allow-origin" not in answer.headers


def test_a_preflight(shared):
    answer = ask(
        shared,
        "/c/o",
        access_control_request_method="PUT",
        access_control_request_headers="x-one, X-Two,x-one",
        **ORIGIN,
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert answer.headers["access-control-allow-methods"].endswith(", COPY")
    assert answer.headers["access-control-allow-headers"] == "x-one, X-Two"
    assert answer.headers["access-control-max-age"] == "60"
    assert answer.headers["vary"] == "Origin, Access-Control-Request-Headers"
    assert "access-control-expose-headers" not in answer.headers


def test_a_preflight_for_everybody_depends_on_nothing(shared):
    answer = ask(shared, "/all/o", access_control_request_method="GET", **ORIGIN)
    assert (answer.headers["access-control-allow-origin"], "vary" in answer.headers) == ("*", False)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/none/o", {"access_control_request_method": "GET", **ORIGIN}),
        ("/nowhere/o", {"access_control_request_method": "GET", **ORIGIN}),
        ("/c/o", {"access_control_request_method": "GET", "origin": "https://evil.example"}),
        ("/c/o", {"access_control_request_method": "PATCH", **ORIGIN}),
        ("/c/o", ORIGIN),
    ],
    ids=["said-nothing", "no-container", "another-origin", "no-such-method", "no-method"],
)
def test_a_preflight_that_is_refused(shared, path, headers):
    answer = ask(shared, path, **headers)
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (401, False)


def test_a_page_may_read_the_answer(shared):
    answer = shared.client().get("/c/o", headers=ORIGIN)
    assert (answer.status_code, answer.text) == (200, "body")
    assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == (ORIGIN["origin"], "Origin")
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"etag", "x-object-meta-colour", "x-seen", "x-trans-id"} <= set(exposed)


@pytest.mark.parametrize("path", ["/c/missing", "/c?limit=99999"], ids=["missing", "too-many"])
def test_a_page_may_read_refusals(shared, path):
    answer = shared.client().get(path, headers=ORIGIN)
    assert answer.status_code in (404, 412)
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]


def test_another_page_may_not(shared):
    answer = shared.client().get("/none/o", headers=ORIGIN)
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (200, False)


def test_settings_of_the_operator():
    with store(
        cors_allow_origin=("https://page.example",), cors_expose_headers=("x-mine",), strict_cors_mode=True
    ) as found:
        client = found.client()
        client.put("/c")
        answer = client.get("/c", headers=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
        assert "x-mine" in answer.headers["access-control-expose-headers"].split(", ")


def test_without_strictness_the_browser_is_told_who_may():
    with store(strict_cors_mode=False) as found:
        client = found.client()
        client.put("/c")
        assert client.get("/c", headers=ORIGIN).headers["access-control-allow-origin"] == ORIGIN["origin"]


def test_other_domains_are_told_who_may_read():
    with store(crossdomain={"cross_domain_policy": '<allow-access-from domain="a.example" />'}) as found:
        page = httpx.get(f"{found.url}/crossdomain.xml")
        assert (page.status_code, page.headers["content-type"]) == (200, "application/xml; charset=UTF-8")
        assert page.text == (
            '<?xml version="1.0"?>\n'
            '<!DOCTYPE cross-domain-policy SYSTEM "http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >\n'
            '<cross-domain-policy>\n<allow-access-from domain="a.example" />\n</cross-domain-policy>'
        )
        assert httpx.get(f"{found.url}/info").json()["crossdomain"] == {}
