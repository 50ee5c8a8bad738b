# SPDX-License-Identifier: Apache-2.0
"""Rules of S3: names of buckets, grants, tags, rules for browsers and for expiry, policies, and their documents."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from cumulet.services.object_store.s3 import (
    cors,
    documents,
    grants,
    lifecycle,
    naming,
    policies,
    settings,
    tagging,
    times,
)
from cumulet.services.object_store.s3.errors import S3Error
from cumulet.services.object_store.s3.grants import Grant, GrantList

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"))


def code(work: Any, *given_: Any) -> str:
    with pytest.raises(S3Error) as caught:
        work(*given_)
    return caught.value.code


def texts(data: bytes, tag: str) -> list[str]:
    return [each.text or "" for each in etree.fromstring(data).iter(f"{{{documents.NAMESPACE}}}{tag}")]


# Documents


@given(st.lists(WORDS, max_size=4))
def test_documents_say_what_was_put_into_them(words: list[str]) -> None:
    made = documents.document("Root", [documents.leaf("Word", each) for each in words])
    assert [each.text for each in documents.parse(made, "Root")] == words
    assert texts(made, "Word") == words


@given(st.text(max_size=30))
def test_any_key_can_be_told(key: str) -> None:
    documents.document("Root", [documents.leaf("Key", key)])


@given(st.binary(max_size=60))
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with suppress(S3Error):
        documents.parse(data, "Delete")


@pytest.mark.parametrize(
    "inside",
    [
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r><w>a&x;</w></r>',
        '<!DOCTYPE r [<!ENTITY x "many">]><r><w>a&x;b</w></r>',
        '<!DOCTYPE r SYSTEM "http://192.0.2.1/r.dtd"><r><w>a</w></r>',
    ],
)
def test_nothing_else_is_read(inside: str) -> None:
    assert documents.parse(inside.encode(), "r").word("w") == "a"


def test_a_flood_of_entities_stays_small() -> None:
    levels = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    bomb = f'<!DOCTYPE r [<!ENTITY l0 "ha">{levels}]><r><w>&l9;</w></r>'
    with suppress(S3Error):  # newer parsers refuse it
        assert documents.parse(bomb.encode(), "r").word("w") == ""


def test_what_is_nested_too_deep_is_refused() -> None:
    assert code(documents.parse, b"<a>" * 5000 + b"</a>" * 5000, "a") == "MalformedXML"


def test_a_refusal() -> None:
    error = S3Error("NoSuchKey", Key="a<b")
    assert documents.refusal(error, "tx1") == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not '
        b"exist.</Message><RequestId>tx1</RequestId><Key>a&lt;b</Key></Error>"
    )


# Names


@pytest.mark.parametrize(
    ("name", "strict", "loose"),
    [
        ("bucket", True, True),
        ("b.u-c.k3t", True, True),
        ("ab", False, False),
        ("a" * 63, True, True),
        ("a" * 64, False, True),
        ("Bucket", False, True),
        ("bu_cket", False, True),
        ("-bucket", False, False),
        ("bucket-", False, True),
        ("bucket.", False, False),
        ("bu..cket", False, True),
        ("bu.-cket", False, True),
        ("bu-.cket", False, True),
        ("192.168.5.4", False, False),
        ("192.168.5.400", True, True),
        ("bücket", False, False),
        ("bucket\n", False, False),
    ],
)
def test_names_of_buckets(name: str, strict: bool, loose: bool) -> None:
    assert naming.is_bucket(name) is strict
    assert naming.is_bucket(name, dns_compliant=False) is loose


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("b.s3.example", "b"),
        ("b.c.s3.example:8080", "b.c"),
        ("s3.example", None),
        ("other", None),
        ("b.store.example", "b"),
    ],
)
def test_buckets_in_hosts(host: str, bucket: str | None) -> None:
    assert naming.bucket_of(host, ("s3.example", ".store.example")) == bucket


def test_paths() -> None:
    assert naming.split("/", None) == ("", "")
    assert naming.split("/bucket", None) == naming.split("/bucket/", None) == ("bucket", "")
    assert naming.split("/bucket//a/", None) == ("bucket", "/a/")
    assert naming.split("/\xc3\xa4/b", "bucket") == ("bucket", "ä/b")
    assert code(naming.split, "/\xff", None) == code(naming.split, "/bucket/\0", None) == "InvalidURI"
    assert code(naming.split, "/BUCKET/k", None) == "InvalidBucketName"


# Grants

GRANTS = st.builds(
    GrantList,
    WORDS.filter(str.strip),
    st.lists(
        st.builds(Grant, st.sampled_from(grants.PERMISSIONS), st.sampled_from(["AllUsers", "LogDelivery", "a:b", "ü"]))
    ).map(tuple),
)


@given(GRANTS)
def test_grants_are_kept_and_told(found: GrantList) -> None:
    assert grants.kept(found).isascii()
    assert grants.of_kept(grants.kept(found)) == found
    assert grants.of_document(grants.view(found)) == found


@given(st.text(max_size=20))
def test_what_is_kept_may_be_anything(said: str) -> None:
    assert isinstance(grants.of_kept(said), GrantList)


def test_whom_grants_allow_what() -> None:
    found = GrantList("me", (Grant("READ", "AllUsers"), Grant("FULL_CONTROL", "you")))
    assert found.allows("me", "OWNER")
    assert found.allows("me", "WRITE")
    assert not found.allows("you", "OWNER")
    assert found.allows("you", "WRITE_ACP")
    assert found.allows("anybody", "READ")
    assert not found.allows("anybody", "WRITE")
    assert not GrantList().allows("me", "READ")
    assert GrantList().allows("me", "OWNER", no_owner=True)


def test_lists_by_name_and_by_header() -> None:
    found = grants.of_headers({"x-amz-acl": "bucket-owner-read"}, "owner", "me")
    assert found == GrantList("me", (Grant("READ", "owner"), Grant("FULL_CONTROL", "me")))
    uri = "http://acs.amazonaws.com/groups/global/AllUsers"
    found = grants.of_headers({"x-amz-grant-read": f'id="you", uri={uri}', "x-amz-grant-what": "id=x"}, "o", "me")
    assert found == GrantList("me", (Grant("READ", "you"), Grant("READ", "AllUsers")))
    assert grants.of_headers({}, "o", "me") is None


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"x-amz-acl": "mine"}, "InvalidArgument"),
        ({"x-amz-acl": "private", "x-amz-grant-read": "id=a"}, "InvalidRequest"),
        ({"x-amz-grant-read": "somebody"}, "InvalidRequest"),
        ({"x-amz-grant-read": "emailaddress=a@b"}, "NotImplemented"),
        ({"x-amz-grant-read": "uri=http://x"}, "InvalidArgument"),
    ],
    ids=range(5),
)
def test_headers_that_grant_nothing(headers: dict[str, str], wanted: str) -> None:
    assert code(grants.of_headers, headers, "o", "me") == wanted


def test_lists_of_containers_and_grants() -> None:
    public = grants.lists("public-read")
    assert public == {"x-container-read": ".r:*,.rlistings"}
    shown = grants.of_lists("me", public)
    assert shown == GrantList("me", (Grant("FULL_CONTROL", "me"), Grant("READ", "AllUsers")))
    assert grants.lists_of_document(grants.view(shown)) == public
    assert grants.lists_of_document(grants.view(grants.of_lists("me", {}))) == grants.lists("private")
    assert code(grants.lists, "authenticated-read") == "NotImplemented"
    assert code(grants.lists, "nobodys") == "InvalidArgument"
    assert code(grants.lists_of_document, b"<AccessControlPolicy/>") == "MalformedACLError"


# Tags


@given(st.dictionaries(WORDS.filter(lambda key: 0 < len(key) < 20 and not key.lower().startswith("aws:")), WORDS,
                       max_size=10))  # fmt: skip
def test_tags_are_kept_and_told(tags: dict[str, str]) -> None:
    assert tagging.kept(tags).isascii()
    assert tagging.of_kept(tagging.kept(tags)) == tags
    assert tagging.of_header(tagging.kept(tags)) == tags
    assert tagging.parse(tagging.view(tags), "object") == tags


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        ([("a", "1"), ("a", "2")], "InvalidTag"),
        ([("", "1")], "InvalidTag"),
        ([("k" * 129, "1")], "InvalidTag"),
        ([("k", "v" * 257)], "InvalidTag"),
        ([("aws:k", "v")], "InvalidTag"),
        ([(str(n), "v") for n in range(11)], "BadRequest"),
    ],
    ids=range(6),
)
def test_tags_that_are_refused(pairs: list[tuple[str, str]], wanted: str) -> None:
    leaf, element = documents.leaf, documents.element
    inside = [element("Tag", leaf("Key", key), leaf("Value", value)) for key, value in pairs]
    data = documents.document("Tagging", [element("TagSet", *inside)])
    assert code(tagging.parse, data, "object") == wanted


# Browsers


def cors_of(inside: str) -> tuple[cors.Rule, ...]:
    return cors.parse(f"<CORSConfiguration>{inside}</CORSConfiguration>".encode())


RULES = cors_of(
    "<CORSRule><AllowedOrigin>https://*.example</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>"
    "<AllowedHeader>x-amz-*</AllowedHeader><MaxAgeSeconds>60</MaxAgeSeconds><ID>one</ID></CORSRule>"
    "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
    "<ExposeHeader>ETag</ExposeHeader></CORSRule>"
)


@pytest.mark.parametrize(
    ("origin", "method", "headers", "number"),
    [
        ("https://a.example", "PUT", [], 0),
        ("https://a.example", "PUT", ["X-Amz-Date"], 0),
        ("https://a.example", "PUT", ["x-other"], None),
        ("https://a.other", "PUT", [], None),
        ("https://a.other", "GET", [], 1),
        ("https://a.other", "GET", ["x-other"], None),
        ("https://a.other", "DELETE", [], None),
    ],
)
def test_pages_that_may(origin: str, method: str, headers: list[str], number: int | None) -> None:
    found = cors.match(RULES, origin, method, headers)
    assert found == (None if number is None else RULES[number])


def test_what_browsers_are_told() -> None:
    told = cors.told(RULES[0], "https://a.example", asked=["x-amz-date"], preflight=True)
    assert told["access-control-allow-origin"] == "https://a.example"
    assert told["access-control-allow-methods"] == "PUT"
    assert told["access-control-allow-headers"] == "x-amz-date"
    assert told["access-control-max-age"] == "60"
    told = cors.told(RULES[1], "https://a.example")
    assert told["access-control-allow-origin"] == "*"
    assert told["access-control-expose-headers"] == "ETag"


def test_rules_for_browsers_are_kept_and_told() -> None:
    assert cors.of_kept(cors.kept(RULES)) == RULES
    assert cors.parse(cors.view(RULES)) == RULES
    assert cors.of_kept("{") == cors.of_kept("") == ()


@pytest.mark.parametrize(
    ("inside", "wanted"),
    [
        ("", "MalformedXML"),
        ("<CORSRule/>", "MalformedXML"),
        ("<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>COPY</AllowedMethod></CORSRule>", "InvalidRequest"),
        ("<CORSRule><AllowedOrigin>**</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>", "InvalidRequest"),
        ("<CORSRule><Other/></CORSRule>", "MalformedXML"),
    ],
    ids=range(5),
)
def test_rules_for_browsers_that_are_refused(inside: str, wanted: str) -> None:
    assert code(cors_of, inside) == wanted


# Expiry


def lifecycle_of(inside: str) -> tuple[lifecycle.Rule, ...]:
    return lifecycle.parse(f"<LifecycleConfiguration>{inside}</LifecycleConfiguration>".encode())


ENDS = lifecycle_of(
    "<Rule><ID>logs</ID><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status>"
    "<Expiration><Days>3</Days></Expiration></Rule>"
    "<Rule><ID>tagged</ID><Filter><And><Prefix>logs/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>"
    "<Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
    "<Rule><ID>off</ID><Filter/><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
    "<Rule><ID>old</ID><Prefix>old/</Prefix><Status>Enabled</Status>"
    "<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule>"
)
MADE = lifecycle.DAY * 1000 + 5


@pytest.mark.parametrize(
    ("key", "tags", "end"),
    [
        ("logs/a", {}, (lifecycle.DAY * 1004, "logs")),
        ("logs/a", {"k": "v"}, (lifecycle.DAY * 1002, "tagged")),
        ("other", {}, None),
        ("old/a", {}, (1893456000, "old")),
    ],
)
def test_when_objects_end(key: str, tags: dict[str, str], end: tuple[int, str] | None) -> None:
    assert lifecycle.end(ENDS, key, tags, MADE) == end


def test_rules_for_expiry_are_kept_and_told() -> None:
    assert lifecycle.of_kept(lifecycle.kept(ENDS)) == ENDS
    assert lifecycle.parse(lifecycle.view(ENDS)) == ENDS
    assert lifecycle.kept(ENDS).isascii()


END = "<Status>Enabled</Status><Expiration><Days>1</Days></Expiration>"


@pytest.mark.parametrize(
    ("inside", "wanted"),
    [
        ("", "MalformedXML"),
        (f"<Rule>{END}</Rule>", "MalformedXML"),
        ("<Rule><Filter/><Status>Enabled</Status></Rule>", "MalformedXML"),
        (f"<Rule><Filter/>{END.replace('Enabled', 'On')}</Rule>", "MalformedXML"),
        (f"<Rule><Filter/>{END.replace('1', '0')}</Rule>", "InvalidArgument"),
        (f"<Rule><Filter/>{END.replace('1', 'x')}</Rule>", "MalformedXML"),
        (f"<Rule><Filter/>{END}<Transition/></Rule>", "NotImplemented"),
        (f"<Rule><Filter><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></Filter>{END}</Rule>", "NotImplemented"),
        (f"<Rule><ID>a</ID><Filter/>{END}</Rule><Rule><ID>a</ID><Filter/>{END}</Rule>", "InvalidArgument"),
        (
            "<Rule><Filter/><Status>Enabled</Status><Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration></Rule>",
            "InvalidArgument",
        ),
    ],
    ids=range(10),
)
def test_rules_for_expiry_that_are_refused(inside: str, wanted: str) -> None:
    assert code(lifecycle_of, inside) == wanted


# Policies


def policy(**more: Any) -> bytes:
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
    } | more
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()


def test_policies_that_are_lists() -> None:
    assert policies.parse(policy(), "b").read == ".r:*,.rlistings"
    assert policies.parse(policy(Action="s3:GetObject"), "b").read == ".r:*"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"{", "MalformedPolicy"),
        (b"[" * 100_000, "MalformedPolicy"),
        (b"[]", "MalformedPolicy"),
        (b"{}", "MalformedPolicy"),
        (policy(Effect="Maybe"), "MalformedPolicy"),
        (policy(Effect="Deny"), "NotImplemented"),
        (policy(Condition={}), "NotImplemented"),
        (policy(Principal={"AWS": "me"}), "NotImplemented"),
        (policy(Action="s3:*"), "NotImplemented"),
        (policy(Action="s3:ListBucket"), "NotImplemented"),
        (policy(Resource="arn:aws:s3:::b/x*"), "NotImplemented"),
        (policy(Resource="arn:aws:s3:::other"), "MalformedPolicy"),
        (policy(Resource="arn:aws:s3:::b"), "MalformedPolicy"),
        (policy(Resource=3), "MalformedPolicy"),
    ],
    ids=range(14),
)
def test_policies_that_are_refused(data: bytes, wanted: str) -> None:
    assert code(policies.parse, data, "b") == wanted


# Settings and times


def test_settings_are_swifts() -> None:
    from cumulet.kernel.errors import Invalid

    assert settings.of({"s3_acl": True, "storage_domains": ["a"]}).storage_domains == ("a",)
    for wrong in ({"s3_alc": True}, {"s3_acl": 3}, {"cors_preflight_allow_origin": ["*", "a"]}):
        with pytest.raises(Invalid):
            settings.of(wrong)


def test_times_are_never_before_what_they_tell() -> None:
    assert times.xml(0.1) == "1970-01-01T00:00:01.000Z"
    assert times.of_listing("2026-11-23T01:02:03.000001") == "2026-11-23T01:02:04.000Z"
    assert times.of_listing("2026-11-23T01:02:03.000000") == "2026-11-23T01:02:03.000Z"
