# SPDX-License-Identifier: Apache-2.0
"""Signatures of S3 requests: botocore, which is Amazon's own, signs; what is changed afterwards does not hold."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes, urlsplit

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.services.object_store.s3 import signatures, times
from cumulet.services.object_store.s3.asked import Asked
from cumulet.services.object_store.s3.errors import S3Error
from cumulet.services.object_store.s3.settings import Settings

SAID = Settings()
KEYS = Credentials("access", "secret")
SIGNERS = {
    "v4": lambda: S3SigV4Auth(KEYS, "s3", "us-east-1"),
    "v4 query": lambda: S3SigV4QueryAuth(KEYS, "s3", "us-east-1", expires=60),
    "v2": lambda: HmacV1Auth(KEYS),
    "v2 query": lambda: HmacV1QueryAuth(KEYS, expires=60),
}


NOW = datetime.now(UTC).timestamp()  # of the requests that tests are given


def now() -> float:
    """What the signers take the time from."""
    return datetime.now(UTC).timestamp()


def signed(kind: str, method: str = "GET", path: str = "/b/k", query: str = "", **headers: str) -> Asked:
    """A request as it arrives, signed by somebody else's code. `path` and `query` are as on the wire."""
    url = f"http://store.example:8080{path}" + (f"?{query}" if query else "")
    made = AWSRequest(method=method, url=url, headers={key.replace("_", "-"): value for key, value in headers.items()})
    made.context["payload_signing_enabled"] = False
    made.auth_path = path
    SIGNERS[kind]().add_auth(made)
    parts = urlsplit(made.url)
    found = {"host": "store.example:8080"} | {name.lower(): str(value) for name, value in made.headers.items()}
    return Asked(method, unquote_to_bytes(parts.path).decode("latin-1"), found, parts.query, parts.path)


def holds(asked: Asked, secret: str = "secret", after: float = 0.0) -> bool:
    claim = signatures.claimed(asked, SAID, now() + after)
    assert claim.access == "access"
    return signatures.completed(claim, asked, None).holds(secret)


KEPT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@pytest.mark.parametrize("kind", list(SIGNERS))
@given(key=KEPT, value=st.text("abc xyz=&?/+", max_size=8))
@settings(max_examples=40, deadline=None)
def test_what_amazon_signs_holds(kind: str, key: str, value: str) -> None:
    query = f"prefix={quote(value, safe='-_.~')}&versionId=1" if "query" not in kind else ""
    asked = signed(kind, path=quote(f"/b/{key}", safe="/~"), query=query, x_amz_meta_colour="blue")
    assert signatures.is_signed(asked)
    assert holds(asked)
    assert not holds(asked, "another")


@pytest.mark.parametrize("kind", list(SIGNERS))
def test_what_is_changed_does_not_hold(kind: str) -> None:
    asked = signed(kind, x_amz_meta_colour="blue")
    others = [
        Asked("PUT", asked.path, asked.headers, asked.query_string, asked.raw_path),
        Asked("GET", "/b/other", asked.headers, asked.query_string, "/b/other"),
    ]
    if "query" not in kind:
        others.append(Asked("GET", "/b/k", asked.headers | {"x-amz-meta-colour": "red"}, "", "/b/k"))
    for each in others:
        assert not holds(each)


def test_a_header_that_is_not_signed_is_refused() -> None:
    asked = signed("v4")
    more = Asked("GET", "/b/k", asked.headers | {"x-amz-acl": "public-read"}, "", "/b/k")
    with pytest.raises(S3Error) as caught:
        holds(more)
    assert (caught.value.code, caught.value.extra) == ("AccessDenied", {"HeadersNotSigned": "x-amz-acl"})


def test_a_bucket_may_be_signed_with_a_slash_behind_it() -> None:
    made = signed("v2", path="/b/")
    assert holds(Asked("GET", "/b", made.headers, "", "/b"))
    assert not holds(Asked("GET", "/c", made.headers, "", "/c"))


@pytest.mark.parametrize(
    ("kind", "later", "code"),
    [
        ("v4", 901, "RequestTimeTooSkewed"),
        ("v4", -901, "RequestTimeTooSkewed"),
        ("v2", 901, "RequestTimeTooSkewed"),
        ("v4 query", 61, "AccessDenied"),
        ("v2 query", 65, "AccessDenied"),
        ("v4", 890, ""),
        ("v4 query", 55, ""),
    ],
)
def test_signatures_have_their_time(kind: str, later: float, code: str) -> None:
    asked = signed(kind)
    try:
        assert holds(asked, after=later)
        found = ""
    except S3Error as error:
        found = error.code
    assert found == code


def credential(text: str, **more: str) -> Asked:
    date = times.basic(int(NOW))
    said = f"AWS4-HMAC-SHA256 Credential={text},SignedHeaders=host,Signature=x"
    return Asked("GET", "/", {"host": "h", "x-amz-date": date, "authorization": said} | more, "", "/")


TODAY = times.basic(int(NOW))[:8]


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        (credential("a"), "AccessDenied", ""),
        (credential(f"/{TODAY}/us-east-1/s3/aws4_request"), "AccessDenied", ""),
        (
            credential("a/19990101/us-east-1/s3/aws4_request"),
            "AuthorizationHeaderMalformed",
            'Invalid credential date "19990101"',
        ),
        (
            credential(f"a/{TODAY}/mars/s3/aws4_request"),
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region 'mars' is wrong; expecting 'us-east-1'",
        ),
        (
            credential(f"a/{TODAY}/us-east-1/ec2/aws4_request"),
            "AuthorizationHeaderMalformed",
            'The authorization header is malformed; incorrect service "ec2". This endpoint belongs to "s3".',
        ),
        (
            credential(f"a/{TODAY}/us-east-1/s3/aws5"),
            "AuthorizationHeaderMalformed",
            'The authorization header is malformed; incorrect terminal "aws5". This endpoint uses "aws4_request".',
        ),
        (credential(f"a/{TODAY}/us-east-1/s3/aws4_request", **{"x-amz-date": "noon"}), "AccessDenied", "AWS auth"),
        (credential("a", **{"x-amz-date": "", "date": ""}), "AccessDenied", "AWS authentication requires"),
        (Asked("GET", "/", {"authorization": "AWS nothing", "x-amz-date": times.basic(int(NOW))}), "AccessDenied", ""),
    ],
)
def test_what_is_no_signature(asked: Asked, code: str, words: str) -> None:
    with pytest.raises(S3Error) as caught:
        signatures.claimed(asked, SAID, NOW)
    assert caught.value.code == code
    assert caught.value.message.startswith(words)


@pytest.mark.parametrize(
    ("lasts", "words"),
    [
        ("-1", "X-Amz-Expires must be non-negative"),
        ("604801", "X-Amz-Expires must be less than a week"),
        ("soon", "X-Amz-Expires should be a number"),
        (str(2**63), "X-Amz-Expires should be a number"),
    ],
)
def test_how_long_urls_may_last(lasts: str, words: str) -> None:
    asked = signed("v4 query")
    query = asked.query_string.replace("X-Amz-Expires=60", f"X-Amz-Expires={lasts}")
    with pytest.raises(S3Error) as caught:
        signatures.claimed(Asked("GET", "/b/k", asked.headers, query, "/b/k"), SAID, now())
    assert caught.value.code == "AuthorizationQueryParametersError"
    assert caught.value.message.startswith(words)


@pytest.mark.parametrize("expires", ["", "soon", "nan", "-1", "1e99"])
def test_urls_of_version_2_end_at_a_time(expires: str) -> None:
    asked = Asked("GET", "/b/k", {}, f"AWSAccessKeyId=a&Signature=s&Expires={expires}", "/b/k")
    with pytest.raises(S3Error) as caught:
        signatures.claimed(asked, SAID, now())
    assert caught.value.code == "AccessDenied"


@given(text=st.text(max_size=40))
def test_times_are_times_or_none(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(times.seconds(text, times.V4), int)


def test_nothing_secret_is_told() -> None:
    asked = signed("v4")
    claim = signatures.completed(signatures.claimed(asked, SAID, now()), asked, None)
    told = claim.mismatch()
    assert "secret" not in f"{told} {dict(told.extra)} {claim!r}"
    assert list(told.extra)[:3] == ["AWSAccessKeyId", "StringToSign", "SignatureProvided"]
