# SPDX-License-Identifier: Apache-2.0
"""URLs that let anybody do one thing with an object, or with those whose names begin alike, for some time.

The owner signs them by a key that is kept with the account or with the container. What is signed: the method, the
time at which it ends, the path or the beginning of names, and the addresses from which it may be used.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from calendar import timegm
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from time import strptime
from typing import Literal
from urllib.parse import quote

import msgspec

from cumulet.kernel.errors import Invalid, Unauthorized

Scope = Literal["account", "container"]

DIGESTS = ("sha1", "sha256", "sha512")
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
KEYS = ("temp-url-key", "temp-url-key-2")  # names of metadata
FORBIDDEN = ("x-object-manifest", "x-symlink-target", "x-copy-from")  # an upload may not point at other things

_LENGTHS = {40: "sha1", 64: "sha256", 128: "sha512"}  # of signatures in hexadecimal digits
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_SAME = ("HEAD", "GET", "POST", "PUT")  # what may be asked about by a signature for any of these


class TempUrl(msgspec.Struct, frozen=True, kw_only=True):
    """What a query says. `signature` is in hexadecimal digits, `expires` a second since 1970."""

    signature: str
    digest: str
    expires: int
    prefix: str | None = None
    filename: str = ""
    inline: bool = False
    addresses: str = ""


def parse(query: Mapping[str, str], now: float, digests: Iterable[str] = DIGESTS) -> TempUrl | None:
    """None for a query without one; Unauthorized for one that says nothing valid, or that has ended."""
    said, expires = query.get("temp_url_sig"), query.get("temp_url_expires")
    if said is None and expires is None:
        return None
    end = _end(expires or "")
    if not said or end <= 0 or end < now:
        raise invalid()
    digest, digits = signature(said)
    if digest not in digests:
        raise invalid()
    return TempUrl(
        signature=digits,
        digest=digest,
        expires=end,
        prefix=query.get("temp_url_prefix"),
        filename=query.get("filename", ""),
        inline="inline" in query,
        addresses=query.get("temp_url_ip_range", ""),
    )


def judge(
    url: TempUrl, method: str, names: tuple[str, str, str], client: str, keys: Iterable[tuple[Scope, str]]
) -> Scope:
    """Whose key has signed that `method` may be done with account, container and object of these `names`.

    A container itself (no object) may be read by what was signed for all of its objects. `client` is the caller's
    address. Unauthorized where nobody has.
    """
    account, container, name = names
    whole = url.prefix == "" and method in ("GET", "HEAD")
    if method not in METHODS or not (container and (name.strip("/") or whole)):
        raise invalid()
    if url.prefix is not None and not name.startswith(url.prefix):
        raise invalid()
    if url.addresses and not _is_among(client, url.addresses):
        raise invalid()
    path = f"/v1/{account}/{container}/{name}"
    if url.prefix is not None:
        path = f"prefix:/v1/{account}/{container}/{url.prefix}"
    for scope, key in keys:
        for each in _SAME if method == "HEAD" else (method,):
            wanted = sign(each, path, url.expires, key, url.digest, url.addresses)
            if hmac.compare_digest(wanted.encode(), url.signature.encode()):
                return scope
    raise invalid()


def sign(method: str, path: str, expires: int, key: str, digest: str = "sha256", addresses: str = "") -> str:
    """The signature, in hexadecimal digits. Addresses come first, where no path can be taken for them."""
    lines = [f"ip={addresses}"] if addresses else []
    return hmac.new(key.encode(), "\n".join((*lines, method, str(expires), path)).encode(), digest).hexdigest()


def check_headers(method: str, headers: Iterable[str]) -> None:
    """Invalid for an upload that would give its reader what its writer may not read."""
    if method in ("GET", "HEAD"):
        return
    for name in headers:
        if name in FORBIDDEN:
            raise Invalid(f"The header {name.title()!r} is not allowed in this tempurl")


def disposition(url: TempUrl, path: str, kept: str = "") -> str:
    """What the browser is told to do with the object: as the URL says, else as the object does, else to keep it."""
    if url.inline:
        found = inline(url)
    elif url.filename:
        found = _disposition("attachment", url.filename)
    else:
        found = kept or _disposition("attachment", path.rstrip("/").rpartition("/")[2])
    return found.replace("\n", "%0A")


def inline(url: TempUrl) -> str:
    """That it is to be shown."""
    return (_disposition("inline", url.filename) if url.filename else "inline").replace("\n", "%0A")


def _end(text: str) -> int:
    """The second, 0 for what is no time."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return timegm(strptime(text, _TIME))
    except ValueError:
        return 0


def signature(text: str) -> tuple[str, str]:
    """A digest's name, and the signature in hexadecimal digits. Unauthorized for what is none."""
    digest, colon, value = text.rpartition(":") if text.count(":") < 2 else text.partition(":")
    try:
        if not colon:
            binascii.unhexlify(value)
            return _LENGTHS[len(value)], value
        if not set("+/") & set(value):
            value = value.replace("-", "+").replace("_", "/")
        return digest, base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), validate=True).hex()
    except (ValueError, KeyError):
        raise invalid() from None


def _is_among(client: str, addresses: str) -> bool:
    try:
        return ip_address(client) in ip_network(addresses)
    except ValueError:
        return False


def _disposition(kind: str, name: str) -> str:
    return f"{kind}; filename=\"{quote(name, safe=' /')}\"; filename*=UTF-8''{quote(name)}"


def invalid() -> Unauthorized:
    """What is told of a URL that does not let one do what was asked for."""
    return Unauthorized("401 Unauthorized: Temp URL invalid\n", code="TempUrlInvalid")
