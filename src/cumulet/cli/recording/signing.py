# SPDX-License-Identifier: Apache-2.0
"""What a step computes before it asks: signatures of EC2, S3 and OAuth 1, passcodes, words of HTTP's basic scheme.

Each maker takes the words that the scenario gives it under `make` (with `by` left out) and the method and URL of the
request. They are clients' own implementations, and share nothing with the services that judge them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

Words = Mapping[str, Any]
Maker = Callable[[Words, str, str], Any]

_HOST, _PATH = "ec2.example.org:8773", "/services/Cloud"


def ec2(words: Words, method: str, url: str) -> dict[str, Any]:
    """Credentials of a request to an EC2 API, signed with `secret` of the key `access` by `version` (0, 1, 2 or 4).

    `when` replaces the present moment (`2026-01-31T12:00:00Z`, for version 4 `20260131T120000Z`). Source: AWS General
    Reference, "Signing AWS API requests".
    """
    version, when = str(words["version"]), words.get("when")
    if version == "4":
        return _ec2_v4(words, str(when or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())))
    moment = str(when or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    params = {"SignatureVersion": version, "AWSAccessKeyId": words["access"], "Action": "List", "Timestamp": moment}
    text, digest = f"List{moment}", "sha1"
    if version == "1":
        text = "".join(name + params[name] for name in sorted(params, key=str.lower))
    elif version == "2":
        params["SignatureMethod"] = "HmacSHA256"
        text, digest = "\n".join(("GET", _HOST, _PATH, _query(params))), "sha256"
    signature = _base64(hmac.digest(str(words["secret"]).encode(), text.encode(), digest))
    request = {"access": words["access"], "host": _HOST, "verb": "GET", "path": _PATH}
    return {**request, "params": params, "signature": signature}


def s3(words: Words, method: str, url: str) -> dict[str, str]:
    """A text to sign (`text`, or one of version 4 for `service`) and its signature with `secret` of `access`."""
    secret, service = str(words["secret"]), words.get("service")
    if service is None:
        text = str(words["text"])
        signature = _base64(hmac.digest(secret.encode(), text.encode(), "sha1"))
    else:
        text = f"AWS4-HMAC-SHA256\n20260131T120000Z\n20260131/here/{service}/aws4_request\n{'0' * 64}"
        signature = hmac.digest(_v4_key(secret, "20260131", "here", str(service)), text.encode(), "sha256").hex()
    token = base64.urlsafe_b64encode(text.encode()).decode()
    return {"access": str(words["access"]), "token": token, "signature": signature}


def oauth1(words: Words, method: str, url: str) -> str:
    """The header Authorization of this request: RFC 5849 with HMAC-SHA1.

    `consumer` and `consumer_secret`, `token` and `token_secret`; any other word is sent as `oauth_WORD`.
    """
    secret_words = ("consumer", "consumer_secret", "token_secret")
    said = {
        "oauth_consumer_key": words["consumer"],
        "oauth_nonce": secrets.token_hex(8),
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(int(time.time())),
        "oauth_version": "1.0",
        **{f"oauth_{name}": str(value) for name, value in words.items() if name not in secret_words},
    }
    pairs = "&".join(f"{_escape(name)}={_escape(said[name])}" for name in sorted(said))
    text = "&".join(map(_escape, (method, url.partition("?")[0], pairs)))
    key = f"{_escape(words['consumer_secret'])}&{_escape(words.get('token_secret', ''))}"
    said["oauth_signature"] = _base64(hmac.digest(key.encode(), text.encode(), "sha1"))
    return "OAuth " + ", ".join(f'{name}="{_escape(value)}"' for name, value in said.items())


def totp(words: Words, method: str, url: str) -> str:
    """The passcode of this half minute by `secret` (base32): RFC 6238."""
    digest = hmac.digest(base64.b32decode(words["secret"]), struct.pack(">Q", int(time.time()) // 30), "sha1")
    start = digest[-1] & 15
    number: int = struct.unpack_from(">I", digest, start)[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def basic(words: Words, method: str, url: str) -> str:
    """The header Authorization of `user` and `password`: RFC 7617."""
    return "Basic " + _base64(f"{words['user']}:{words['password']}".encode())


MAKERS: dict[str, Maker] = {"ec2": ec2, "s3": s3, "oauth1": oauth1, "totp": totp, "basic": basic}


def _ec2_v4(words: Words, moment: str) -> dict[str, Any]:
    scope = f"{moment[:8]}/here/ec2/aws4_request"
    body_hash = hashlib.sha256(b"").hexdigest()
    headers = {"host": _HOST, "X-Amz-Date": moment}
    asked = f"GET\n{_PATH}\nAction=List\nhost:{_HOST}\nx-amz-date:{moment}\n\nhost;x-amz-date\n{body_hash}"
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(asked.encode()).hexdigest()))
    key = _v4_key(str(words["secret"]), moment[:8], "here", "ec2")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"AWS4-HMAC-SHA256 Credential={words['access']}/{scope}, SignedHeaders=host;x-amz-date"
    headers["Authorization"] = f"{credential}, Signature={signature}"
    request = {"access": words["access"], "host": _HOST, "verb": "GET", "path": _PATH, "params": {"Action": "List"}}
    return {**request, "headers": headers, "body_hash": body_hash, "signature": signature}


def _v4_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for word in (day, region, service, "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key


def _query(params: Mapping[str, str]) -> str:
    return "&".join(f"{_escape(name)}={_escape(params[name])}" for name in sorted(params))


def _escape(text: Any) -> str:
    return quote(str(text), safe="-_~.")


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
