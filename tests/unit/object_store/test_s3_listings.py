# SPDX-License-Identifier: Apache-2.0
"""Listings of buckets, of uploads and of their parts in S3's forms."""

from __future__ import annotations

import base64
import json
from hashlib import md5
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from cumulet.services.object_store.s3 import documents, listings, multipart
from cumulet.services.object_store.s3.errors import S3Error
from cumulet.services.object_store.s3.multipart import Part, Uploads, Wanted

WHEN = "2026-11-23T01:02:03.000000"


def item(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "hash": "a" * 32, "bytes": 5, "content_type": "text/plain", "last_modified": WHEN} | more


def told(data: bytes, path: str) -> list[str]:
    root = etree.fromstring(data)
    return [each.text or "" for each in root.findall(path, {None: documents.NAMESPACE})]


def code(query: dict[str, str]) -> str:
    with pytest.raises(S3Error) as caught:
        listings.asked(query, 1000)
    return caught.value.code


def test_what_is_asked_of_the_container() -> None:
    found = listings.asked({"prefix": "a/", "delimiter": "/", "marker": "a/b", "max-keys": "7"}, 1000)
    query = {"format": "json", "limit": "8", "prefix": "a/", "delimiter": "/", "marker": "a/b"}
    assert found.query() == query
    assert listings.asked({"max-keys": "5000"}, 1000).query()["limit"] == "1001"
    token = base64.b64encode("ä".encode()).decode()
    assert listings.asked({"list-type": "2", "continuation-token": token, "start-after": "x"}, 10).marker == "ä"
    versions = listings.asked({"versions": "", "key-marker": "k", "version-id-marker": "null"}, 10).query()
    assert (versions["versions"], versions["marker"], versions["version_marker"]) == ("true", "k", "null")


@pytest.mark.parametrize(
    "query",
    [
        {"max-keys": "-1"},
        {"max-keys": "many"},
        {"max-keys": str(2**31)},
        {"encoding-type": "gzip"},
        {"prefix": "\xff"},
        {"list-type": "two"},
        {"list-type": "2", "continuation-token": "?"},
        {"versions": "", "version-id-marker": "null"},
        {"versions": "", "key-marker": "k", "version-id-marker": "newest"},
    ],
    ids=range(9),
)
def test_what_cannot_be_asked(query: dict[str, str]) -> None:
    assert code(query) == "InvalidArgument"


def test_a_page_of_version_1() -> None:
    wanted = listings.asked({"max-keys": "2", "delimiter": "/", "encoding-type": "url"}, 1000)
    data = listings.view("b", wanted, [item("ä b"), {"subdir": "d/"}, item("e")], "me")
    assert told(data, "Contents/Key") == ["%C3%A4%20b"]
    assert told(data, "CommonPrefixes/Prefix") == ["d/"]
    assert told(data, "NextMarker") == ["d/"]
    assert told(data, "IsTruncated") == ["true"]
    assert told(data, "Contents/Owner/ID") == ["me"]
    assert told(data, "Contents/LastModified") == ["2026-11-23T01:02:03.000Z"]


def test_a_page_of_version_2() -> None:
    wanted = listings.asked({"max-keys": "1", "list-type": "2", "start-after": "a"}, 1000)
    data = listings.view("b", wanted, [item("b"), item("c")], "me")
    token = told(data, "NextContinuationToken")[0]
    assert listings.asked({"list-type": "2", "continuation-token": token}, 1000).marker == "b"
    assert told(data, "KeyCount") == ["1"]
    assert told(data, "StartAfter") == ["a"]
    assert not told(data, "Contents/Owner/ID")


def test_a_page_of_nothing() -> None:
    data = listings.view("b", listings.asked({"max-keys": "0"}, 1000), [item("b")], "me")
    assert told(data, "IsTruncated") == ["false"]
    assert not told(data, "Contents/Key")


def test_versions() -> None:
    marker = item("k", content_type=listings.MARKER_TYPE, version_id="2.0", is_latest=True)
    items = [marker, item("k", version_id="1.0", is_latest=False), item("old", is_latest=True)]
    data = listings.view("b", listings.asked({"versions": "", "max-keys": "2"}, 1000), items, "me")
    assert told(data, "DeleteMarker/VersionId") == ["2.0"]
    assert told(data, "Version/VersionId") == ["1.0"]
    assert told(data, "Version/IsLatest") == ["false"]
    assert (told(data, "NextKeyMarker"), told(data, "NextVersionIdMarker")) == (["k"], ["1.0"])


@given(st.lists(st.text("ab/", min_size=1, max_size=4), unique=True, max_size=12).map(sorted), st.integers(1, 5))
def test_pages_of_version_2_give_each_key_once(keys: list[str], most: int) -> None:
    found: list[str] = []
    query = {"list-type": "2", "max-keys": str(most)}
    while True:
        wanted = listings.asked(query, 1000)
        items = [item(key) for key in keys if wanted.marker is None or key > wanted.marker]
        data = listings.view("b", wanted, items[: most + 1], "me")
        found += told(data, "Contents/Key")
        if told(data, "IsTruncated") == ["false"]:
            break
        query["continuation-token"] = told(data, "NextContinuationToken")[0]
    assert found == keys


@pytest.mark.parametrize(
    ("entry", "etag"),
    [
        ({"hash": "abc"}, '"abc"'),
        ({"hash": '"abc"'}, '"abc"'),
        ({"hash": "abc; s3_etag=def-2"}, '"def-2"'),
        ({"hash": "abc", "slo_etag": '"def"'}, '"def-N"'),
        ({"hash": "abc", "s3_etag": '"def-2"', "slo_etag": '"x"'}, '"def-2"'),
    ],
    ids=range(5),
)
def test_etags_in_listings(entry: dict[str, str], etag: str) -> None:
    assert listings.etag(entry) == etag


@pytest.mark.parametrize(
    ("said", "count", "code"),
    [("1", None, ""), ("1000", None, ""), ("0", None, "InvalidArgument"), ("1001", None, "InvalidArgument"),
     ("x", None, "InvalidArgument"), ("3", 2, "InvalidPartNumber"), ("2000", 3000, "")],
)  # fmt: skip
def test_numbers_of_parts(said: str, count: int | None, code: str) -> None:
    try:
        assert listings.part_number({"partNumber": said}, 1000, count) == int(said)
        found = ""
    except S3Error as error:
        found = error.code
    assert found == code


# Uploads


def completion(*parts: tuple[Any, Any]) -> bytes:
    inside = [
        documents.element("Part", documents.leaf("PartNumber", number), documents.leaf("ETag", etag))
        for number, etag in parts
    ]
    return documents.document("CompleteMultipartUpload", inside)


ONE, TWO = md5(b"one").hexdigest(), md5(b"two").hexdigest()


def test_the_etag_of_a_whole() -> None:
    parts = multipart.parse(completion((1, f'"{ONE}"'), (7, TWO)), "u")
    assert parts == [Part(1, ONE), Part(7, TWO)]
    assert multipart.etag(parts) == md5(bytes.fromhex(ONE + TWO)).hexdigest() + "-2"
    manifest = json.loads(multipart.manifest("b", "k", "u", parts))
    wanted = [("/b+segments/k/u/1", ONE), ("/b+segments/k/u/7", TWO)]
    assert [(each["path"], each["etag"]) for each in manifest] == wanted


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "InvalidRequest"),
        (completion(), "MalformedXML"),
        (completion(("x", ONE)), "MalformedXML"),
        (completion((2, ONE), (1, TWO)), "InvalidPartOrder"),
        (completion((1, ONE), (1, ONE)), "InvalidPartOrder"),
        (completion((1, "short")), "InvalidPart"),
        (completion((1, ONE.upper())), "InvalidPart"),
        (b"<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>", "MalformedXML"),
    ],
    ids=range(8),
)
def test_completions_that_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        multipart.parse(data, "u")
    assert caught.value.code == code


KEYS = st.lists(st.text("ab/", min_size=1, max_size=3), unique=True, max_size=8)


@given(keys=KEYS, most=st.integers(1, 4), delimiter=st.sampled_from([None, "/"]))
def test_pages_of_uploads_give_each_once(keys: list[str], most: int, delimiter: str | None) -> None:
    names = sorted(name for key in keys for name in (f"{key}/U0", f"{key}/U0/1", f"{key}/U1"))
    wanted = Wanted(most=most, delimiter=delimiter)
    found: list[tuple[str, str]] = []
    prefixes: list[str] = []
    for _ in range(40):
        page = Uploads(wanted)
        for name in names:
            page.add(item(name))
        data = page.view("b", "me")
        found += zip(told(data, "Upload/Key"), told(data, "Upload/UploadId"), strict=True)
        prefixes += told(data, "CommonPrefixes/Prefix")
        if told(data, "IsTruncated") == ["false"]:
            break
        key, upload = told(data, "NextKeyMarker")[0], told(data, "NextUploadIdMarker")[0]
        wanted = Wanted(most=most, delimiter=delimiter, key=key, upload=upload)
    every = [(key, upload) for key in keys for upload in ("U0", "U1")]
    assert found == sorted(each for each in every if not delimiter or delimiter not in each[0])
    assert prefixes == sorted({key[: key.index("/") + 1] for key in keys if delimiter and "/" in key})


def test_parts_are_listed_by_number() -> None:
    items = [item(f"k/u/{number}") for number in (1, 10, 2, 30)] + [item("k/u/x")]
    data = multipart.parts_view(("b", "k", "u"), "me", {"max-parts": "2", "part-number-marker": "1"}, items, 1000)
    assert told(data, "Part/PartNumber") == ["2", "10"]
    assert told(data, "NextPartNumberMarker") == ["10"]
    assert told(data, "IsTruncated") == ["true"]


@pytest.mark.parametrize(("said", "fits"), [("bytes=0-4", True), ("bytes=4-9", True), ("bytes=5-9", False),
                                            ("bytes=0-1,3-4", False), ("0-4", False), ("bytes=-", False)])  # fmt: skip
def test_ranges_of_sources(said: str, fits: bool) -> None:
    try:
        multipart.checked_range(said, 5)
    except S3Error as error:
        found, fitted = (error.code, error.extra["ArgumentName"]), False
    else:
        found, fitted = ("", ""), True
    assert fitted is fits
    assert found == (("", "") if fits else ("InvalidArgument", "x-amz-source-range"))
