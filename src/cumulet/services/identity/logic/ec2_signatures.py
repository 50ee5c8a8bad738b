# SPDX-License-Identifier: Apache-2.0
"""Signatures of requests by an access key's secret, as EC2 and S3 clients make them.

EC2: versions 0, 1 and 2, which say so in the parameter SignatureVersion, and version 4, which says so in the header
Authorization or the parameter X-Amz-Algorithm (AWS General Reference, "Signing AWS API requests"). S3: version 1 and 4
of a text to sign that the S3 server has made itself. All comparisons take the same time whatever they find.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from cumulet.kernel.errors import CumuletError
from cumulet.services.identity.logic.refusals import not_proven

V4 = "AWS4-HMAC-SHA256"
S3_SERVICES = frozenset({"s3", "iam", "sts"})
# These sign the host without its port.
_OLD_BOTO = re.compile(r"Boto/2\.[0-9]\.[0-2]")

Value = str | int | float | bool | None


class Signed(msgspec.Struct, frozen=True):
    """A request to an EC2 API: what was signed and the signature. `body_hash` is the body's SHA-256 in hexadecimal."""

    verb: str = ""
    host: str = ""
    path: str = ""
    params: dict[str, Value] = {}
    headers: dict[str, str] = {}
    body_hash: str = ""
    signature: str | None = None


def check_ec2(secret: str, words: Mapping[str, Any]) -> None:
    """Unauthorized unless the request that `words` describe was signed with `secret`, with the host's port or without.

    Some clients leave out the port when they sign.
    """
    try:
        signed = msgspec.convert(words, Signed)
    except msgspec.ValidationError:
        raise _invalid() from None
    if not signed.signature:
        raise not_proven("EC2 signature not supplied.", "Ec2SignatureMissing")
    if not any(_same(signed.signature, sign_ec2(secret, signed, host)) for host in _hosts(signed.host)):
        raise _invalid()


def sign_ec2(secret: str, signed: Signed, host: str) -> str:
    """The signature of a request to `host`, by the version that the request names."""
    version = signed.params.get("SignatureVersion")
    key = secret.encode()
    if version == "0":
        text = _text(signed.params.get("Action")) + _text(signed.params.get("Timestamp"))
        return _base64(hmac.digest(key, text.encode(), hashlib.sha1))
    if version == "1":
        names = sorted(signed.params, key=str.lower)
        text = "".join(name + _text(signed.params[name]) for name in names)
        return _base64(hmac.digest(key, text.encode(), hashlib.sha1))
    if version == "2":
        query = _query({**signed.params, "SignatureMethod": "HmacSHA256"})
        text = "\n".join((signed.verb, host, signed.path, query))
        return _base64(hmac.digest(key, text.encode(), hashlib.sha256))
    if signed.headers.get("Authorization", "").startswith(V4) or signed.params.get("X-Amz-Algorithm") == V4:
        return _sign_v4(secret, signed)
    raise _invalid()


def check_s3(secret: str, words: Mapping[str, Any]) -> None:
    """Unauthorized unless `{"token": text to sign in base64, "signature": ...}` was signed with `secret`."""
    token, signature = words.get("token"), words.get("signature")
    if not isinstance(token, str) or not isinstance(signature, str):
        raise _invalid()
    try:
        text = base64.urlsafe_b64decode(token)
    except (binascii.Error, ValueError):
        raise _invalid() from None
    if not _same(signature, sign_s3(secret, text)):
        raise not_proven("Credential signature mismatch", "S3SignatureMismatch")


def sign_s3(secret: str, text: bytes) -> str:
    """The signature of a text to sign: version 4 where the text names that, else version 1."""
    if not text.startswith(b"AWS4"):
        return _base64(hmac.digest(secret.encode(), text, hashlib.sha1))
    lines = text.decode("utf-8", "replace").split("\n")
    if len(lines) != 4 or lines[0] != V4:
        raise _invalid()
    scope = lines[2].split("/")
    if len(scope) != 4 or scope[3] != "aws4_request" or scope[2] not in S3_SERVICES:
        raise _invalid()
    return hmac.new(_v4_key(secret, scope[0], scope[1], scope[2]), text, hashlib.sha256).hexdigest()


def timestamp(words: Mapping[str, Any]) -> str | None:
    """When a request was signed, as it says itself."""
    params, headers = words.get("params"), words.get("headers")
    for part, name in ((params, "Timestamp"), (headers, "X-Amz-Date"), (params, "X-Amz-Date")):
        if isinstance(part, Mapping) and part.get(name):
            return str(part[name])
    return None


def _sign_v4(secret: str, signed: Signed) -> str:
    said = signed.headers.get("X-Amz-Date") or _text(signed.params.get("X-Amz-Date"))
    names = _v4_word(signed, "SignedHeaders")
    scope = _v4_word(signed, "Credential").split("/")[1:]
    if len(scope) < 3 or not said.startswith(scope[0]):
        raise _invalid()
    query = "" if signed.verb.upper() == "POST" else _query(signed.params)
    headers = "\n".join(_v4_headers(signed, names)) + "\n"
    asked = "\n".join((signed.verb.upper(), signed.path, query, headers, names, signed.body_hash))
    digest = hashlib.sha256(asked.encode()).hexdigest()
    text = "\n".join((V4, said, "/".join(scope), digest))
    return hmac.new(_v4_key(secret, scope[0], scope[1], scope[2]), text.encode(), hashlib.sha256).hexdigest()


def _v4_word(signed: Signed, name: str) -> str:
    """A word of the header Authorization (`Credential=...,`), or the parameter in its place."""
    if "Authorization" in signed.headers:
        return signed.headers["Authorization"].partition(f"{name}=")[2].partition(",")[0]
    return _text(signed.params.get(f"X-Amz-{name}"))


def _v4_headers(signed: Signed, names: str) -> Iterator[str]:
    headers = {name.lower().strip(): value.strip() for name, value in signed.headers.items()}
    portless = _OLD_BOTO.match(headers.get("user-agent", ""))
    for name in names.split(";"):
        if name in headers:
            value = headers[name].partition(":")[0] if name == "host" and portless else headers[name]
            yield f"{name}:{value}"


def _v4_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for word in (day, region, service, "aws4_request"):
        key = hmac.digest(key, word.encode(), hashlib.sha256)
    return key


def _hosts(host: str) -> Iterator[str]:
    yield host
    if ":" in host:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return
        if name:
            yield name


def _query(params: Mapping[str, Value]) -> str:
    pairs = ((quote(name, safe=""), quote(_text(params[name]), safe="-_~")) for name in sorted(params))
    return "&".join(f"{name}={value}" for name, value in pairs)


def _text(value: Value) -> str:
    return "" if value is None else str(value)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode())


def _invalid() -> CumuletError:
    return not_proven("Invalid EC2 signature.", "Ec2SignatureInvalid")
