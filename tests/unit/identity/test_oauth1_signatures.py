# SPDX-License-Identifier: Apache-2.0
"""Signatures of OAuth 1: the example of RFC 5849, what oauthlib signs, and what is no signed request at all."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from oauthlib import oauth1

from cumulet.kernel import clock
from cumulet.kernel.errors import CumuletError, Invalid
from cumulet.services.identity.logic import oauth1_signatures as signatures

KEY, SECRET = "a" * 32, "b" * 32
URL = "http://cloud.test:8700/identity/v3/OS-OAUTH1/request_token"


def test_the_base_string_of_the_rfc() -> None:
    """Section 3.4.1.1."""
    header = (
        'OAuth realm="Example", oauth_consumer_key="9djdj82h48djs9d2", oauth_token="kkk9d7dh3k39sjv7", '
        'oauth_signature_method="HMAC-SHA1", oauth_timestamp="137131201", oauth_nonce="7d8f3e4a", '
        'oauth_signature="bYT5CMsGcbgUdFHObYMEfcx6bsw%3D"'
    )
    headers = {"authorization": header, "content-type": "application/x-www-form-urlencoded"}
    query = parse_qsl("b5=%3D%253D&a3=a&c%40=&a2=r%20b", keep_blank_values=True)
    request = signatures.read("POST", "http://EXAMPLE.COM:80/request", query, headers, b"c2&a3=2+q")
    assert signatures.base_string(request) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26"
        "c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26"
        "oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )


def test_the_signature_of_the_rfc() -> None:
    """Section 1.2."""
    header = (
        'OAuth realm="Photos", oauth_consumer_key="dpf43f3p2l4k3l03", oauth_token="nnch734d00sl2jdk", '
        'oauth_signature_method="HMAC-SHA1", oauth_timestamp="137131202", oauth_nonce="chapoH", '
        'oauth_signature="MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D"'
    )
    query = [("file", "vacation.jpg"), ("size", "original")]
    request = signatures.read("GET", "http://photos.example.net/photos", query, {"authorization": header})
    assert signatures.is_signed(request, "kd94hf93k423kf44", "pfkkdhi9sl3r4s00")
    assert not signatures.is_signed(request, "kd94hf93k423kf44", "")


def made(url: str = URL, method: str = "POST", **named: object) -> signatures.SignedRequest:
    """A request that oauthlib has signed."""
    client = oauth1.Client(KEY, client_secret=SECRET, callback_uri="oob", **named)
    _, headers, _ = client.sign(url, http_method=method)
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    bare = {name.lower(): value for name, value in headers.items()}
    return signatures.read(method, url.partition("?")[0], query, bare)


@pytest.mark.parametrize("method", sorted(signatures.METHODS))
@pytest.mark.parametrize("url", [URL, f"{URL}?a=b%20c&a=%C3%BC&x=", "https://CLOUD.test:443/"])
def test_what_oauthlib_signs(url: str, method: str) -> None:
    request = made(url, signature_method=method)
    signatures.check_form(request)
    assert signatures.is_signed(request, SECRET)
    assert not signatures.is_signed(request, SECRET[:-1])
    assert not signatures.is_signed(request, SECRET, "token")


@pytest.mark.parametrize(
    ("named", "detail"),
    [
        ({"signature_method": oauth1.SIGNATURE_PLAINTEXT}, "Invalid signature method."),
        ({"timestamp": str(int(clock.now()) - 700)}, "Timestamp given is invalid"),
        ({"timestamp": "soon"}, "Invalid timestamp size"),
        ({"timestamp": "tomorrow10"}, "Timestamp must be an integer."),
    ],
)
def test_what_is_not_taken(named: dict[str, object], detail: str) -> None:
    with pytest.raises(Invalid, match=detail):
        signatures.check_form(made(**named))


@pytest.mark.parametrize("header", ["", "Basic eDp5", "OAuth", "OAuth x", 'OAuth a="1", a="2"', 'OAuth \x7f"'])
def test_what_is_no_signed_request(header: str) -> None:
    with pytest.raises(Invalid):
        signatures.read("POST", URL, [], {"authorization": header})


def test_what_says_too_little() -> None:
    request = signatures.read("POST", URL, [], {"authorization": 'OAuth oauth_consumer_key="x"'})
    with pytest.raises(CumuletError, match="Missing mandatory"):
        signatures.check_form(request)
    with pytest.raises(Invalid, match="oauth_token in request"):
        request.need("token")
