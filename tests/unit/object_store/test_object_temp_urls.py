# SPDX-License-Identifier: Apache-2.0
"""URLs for some time: what is valid, and what the browser is told, as Swift 2.38 has it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel.errors import Invalid, Unauthorized
from cumulet.services.object_store.logic import temp_urls
from cumulet.services.object_store.logic.temp_urls import DIGESTS, Scope, TempUrl

NOW, END = 1_000_000, 1_000_100
NAMES = ("AUTH_p", "c", "dir/o")
KEYS: tuple[tuple[Scope, str], ...] = (("account", "one"), ("container", "two"))


def query(key: str = "one", method: str = "GET", path: str = "/v1/AUTH_p/c/dir/o", **more: Any) -> dict[str, str]:
    """A signed query; `more` are further parameters of it, or of the signature."""
    digest, addresses = more.pop("digest", "sha256"), more.get("temp_url_ip_range", "")
    signature = temp_urls.sign(method, path, END, key, digest, addresses)
    return {"temp_url_sig": signature, "temp_url_expires": str(END), **more}


def whose(found: dict[str, str], method: str = "GET", client: str = "192.0.2.1", names: Any = NAMES) -> Scope | None:
    url = temp_urls.parse(found, NOW)
    assert url is not None
    try:
        return temp_urls.judge(url, method, names, client, KEYS)
    except Unauthorized:
        return None


@pytest.mark.parametrize("digest", DIGESTS)
def test_digests_in_both_forms(digest: str) -> None:
    found = query(digest=digest)
    assert whose(found) == "account"
    raw = bytes.fromhex(found["temp_url_sig"])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for text in (encode(raw).decode(), encode(raw).decode().rstrip("=")):
            assert whose({**found, "temp_url_sig": f"{digest}:{text}"}) == "account"


def test_signatures_are_those_of_other_tools() -> None:
    signature = temp_urls.sign("GET", "/v1/AUTH_account/container/object", 1323479485, "mykey", "sha1")
    assert signature == "d9fc2067e52b06598421664cf6610bfc8fc431f6"


def test_whose_key_it_is() -> None:
    assert whose(query("two")) == "container"
    assert whose(query("three")) is None


def test_one_method_and_one_path() -> None:
    assert whose(query(), "PUT") is None
    assert whose(query(), names=("AUTH_p", "c", "dir/other")) is None
    for method in ("GET", "PUT", "POST", "HEAD"):
        assert whose(query(method=method), "HEAD") == "account"
    assert whose(query(method="DELETE"), "HEAD") is None
    assert whose(query(method="COPY"), "COPY") is None


def test_all_names_that_begin_alike() -> None:
    found = query(path="prefix:/v1/AUTH_p/c/dir", temp_url_prefix="dir")
    assert whose(found) == whose(found, names=("AUTH_p", "c", "dir2")) == "account"
    assert whose(found, names=("AUTH_p", "c", "other")) is None
    whole = query(path="prefix:/v1/AUTH_p/c/", temp_url_prefix="")
    assert whose(whole, names=("AUTH_p", "c", "")) == "account"
    assert whose(found, names=("AUTH_p", "c", "")) is None


def test_addresses() -> None:
    found = query(temp_url_ip_range="192.0.2.0/24")
    assert whose(found) == "account"
    assert whose(found, client="198.51.100.1") is None
    assert whose({**found, "temp_url_ip_range": "0.0.0.0/0"}) is None
    assert whose(query(temp_url_ip_range="nowhere")) is None


def test_no_such_url() -> None:
    assert temp_urls.parse({"filename": "x"}, NOW) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"temp_url_expires": str(NOW - 1)},
        {"temp_url_expires": "1970-01-01T00:00:01Z"},
        {"temp_url_expires": "soon"},
        {"temp_url_expires": "-5"},
        {"temp_url_sig": ""},
        {"temp_url_sig": "abc"},
        {"temp_url_sig": "ab"},
        {"temp_url_sig": "sha1:???"},
        {"temp_url_sig": "md5:abcd"},
    ],
    ids=lambda wrong: str(next(iter(wrong.values()))) or "none",
)
def test_what_is_not_valid(wrong: dict[str, str]) -> None:
    with pytest.raises(Unauthorized, match="Temp URL invalid"):
        temp_urls.parse(query() | wrong, NOW)


def test_times_may_be_written_out() -> None:
    url = temp_urls.parse(query() | {"temp_url_expires": "1970-01-12T13:48:20Z"}, NOW)
    assert url is not None
    assert url.expires == END


def test_uploads_point_at_nothing() -> None:
    temp_urls.check_headers("GET", ["x-symlink-target"])
    temp_urls.check_headers("PUT", ["content-type"])
    with pytest.raises(Invalid, match="The header 'X-Symlink-Target' is not allowed in this tempurl"):
        temp_urls.check_headers("PUT", ["x-symlink-target"])


@pytest.mark.parametrize(
    ("words", "kept", "told"),
    [
        ({}, "", "attachment; filename=\"o x\"; filename*=UTF-8''o%20x"),
        ({}, "inline; x", "inline; x"),
        ({"filename": 'é"'}, "inline", "attachment; filename=\"%C3%A9%22\"; filename*=UTF-8''%C3%A9%22"),
        ({"inline": True}, "attachment", "inline"),
        ({"inline": True, "filename": "f"}, "", "inline; filename=\"f\"; filename*=UTF-8''f"),
        ({}, "a\nb", "a%0Ab"),
    ],
)
def test_what_the_browser_does(words: dict[str, Any], kept: str, told: str) -> None:
    url = TempUrl(signature="", digest="sha1", expires=END, **words)
    assert temp_urls.disposition(url, "c/dir/o x/", kept) == told


@given(st.dictionaries(st.sampled_from(["temp_url_sig", "temp_url_expires", "temp_url_prefix"]), st.text(max_size=50)))
def test_any_words_are_valid_or_refused(found: dict[str, str]) -> None:
    try:
        url = temp_urls.parse(found, NOW)
    except Unauthorized:
        return
    if url is not None:
        with pytest.raises(Unauthorized):
            temp_urls.judge(url, "GET", NAMES, "192.0.2.1", KEYS)
