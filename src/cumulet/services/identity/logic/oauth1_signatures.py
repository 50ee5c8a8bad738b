# SPDX-License-Identifier: Apache-2.0
"""Requests signed as RFC 5849 (OAuth 1.0) has it, with the words of the protocol in the header Authorization.

Signatures by HMAC are taken (HMAC-SHA1, HMAC-SHA256, HMAC-SHA512); a secret in the clear (PLAINTEXT) is not.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.errors import CumuletError, Invalid
from cumulet.services.identity.logic.scopes import lacks

METHODS = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256", "HMAC-SHA512": "sha512"}
SLACK = 600  # seconds that clocks may differ
ID = re.compile(r"[0-9a-f]{32}")

_WORD = re.compile(r'\s*([^\s=,"]+)="([^"]*)"\s*(?:,|$)')
_MANDATORY = ("consumer_key", "timestamp", "nonce", "signature_method", "signature")
_PORTS = {"http": 80, "https": 443}
_FORM = "application/x-www-form-urlencoded"


class SignedRequest(msgspec.Struct, frozen=True):
    """A request with the protocol's words (without their `oauth_`), and all that was signed with them."""

    method: str
    url: str
    words: dict[str, str]
    pairs: list[tuple[str, str]]

    def need(self, *names: str) -> list[str]:
        """These words; Invalid where one is missing."""
        for name in names:
            if not self.words.get(name):
                raise lacks(f"oauth_{name}", "request")
        return [self.words[name] for name in names]


def read(
    method: str, url: str, query: Iterable[tuple[str, str]], headers: Mapping[str, str], body: bytes = b""
) -> SignedRequest:
    """The signed request; `headers` have lower-case names, a `body` counts where it is a form.

    Invalid for a request without the header Authorization, or with one of another scheme.
    """
    scheme, _, rest = headers.get("authorization", "").strip().partition(" ")
    found = [(unquote(name), unquote(value)) for name, value in _WORD.findall(rest)]
    names = [name for name, _ in found]
    is_odd = len(set(names)) < len(names) or any("\0" in text for pair in found for text in pair)
    if scheme.lower() != "oauth" or not found or is_odd:
        raise Invalid("Cannot retrieve Authorization headers")
    pairs = [*query, *((name, value) for name, value in found if name not in ("realm", "oauth_signature"))]
    if headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        pairs += parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    words = {name.removeprefix("oauth_"): value for name, value in found if name.startswith("oauth_")}
    return SignedRequest(method, url, words, pairs)


def check_form(request: SignedRequest) -> None:
    """Invalid for a request that says too little, or was signed too long ago."""
    words = request.words
    if not all(words.get(name) for name in _MANDATORY):
        raise _invalid("Missing mandatory OAuth parameters.")
    if words["signature_method"] not in METHODS:
        raise _invalid("Invalid signature method.")
    if words.get("version", "1.0") != "1.0":
        raise _invalid("Invalid OAuth version.")
    stamp = words["timestamp"]
    if len(stamp) != 10:
        raise _invalid("Invalid timestamp size")
    if not stamp.isascii() or not stamp.isdigit():
        raise _invalid("Timestamp must be an integer.")
    if abs(clock.now() - int(stamp)) > SLACK:
        raise _invalid(f"Timestamp given is invalid, differ from allowed by over {SLACK} seconds.")
    if not ID.fullmatch(words["consumer_key"]):
        raise _invalid("Invalid client key format.")


def is_signed(request: SignedRequest, consumer_secret: str, token_secret: str = "") -> bool:
    """Whether the request was signed with these secrets."""
    text = base_string(request).encode("utf-8", "surrogatepass")
    key = f"{_escape(consumer_secret)}&{_escape(token_secret)}".encode()
    made = base64.b64encode(hmac.digest(key, text, METHODS[request.words["signature_method"]]))
    return hmac.compare_digest(made, request.words["signature"].encode("utf-8", "surrogatepass"))


def base_string(request: SignedRequest) -> str:
    """What is signed: method, URL and parameters, each escaped (RFC 5849, section 3.4.1)."""
    parts = urlsplit(request.url)
    host = parts.netloc.lower()
    if host.endswith(f":{_PORTS.get(parts.scheme)}"):
        host = host.rpartition(":")[0]
    pairs = sorted((_escape(name), _escape(value)) for name, value in request.pairs)
    parameters = "&".join(f"{name}={value}" for name, value in pairs)
    url = f"{parts.scheme}://{host}{parts.path or '/'}"
    return "&".join(_escape(part) for part in (request.method.upper(), url, parameters))


def _escape(text: str) -> str:
    return quote(text, safe="~")


def _invalid(detail: str) -> CumuletError:
    return Invalid(f"Validation failed with errors: invalid_request, detail message is: {detail}.")
