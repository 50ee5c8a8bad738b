# SPDX-License-Identifier: Apache-2.0
"""Whom containers are kept alike with: clusters of a realm, whose operators share a key, as Swift's are.

What one cluster sends to another is signed by the key of the realm and by the one that the owners of both containers
have set.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

import msgspec

from cumulet.kernel.errors import Invalid, Unauthorized

TO, KEY, AUTH = "x-container-sync-to", "x-container-sync-key", "x-container-sync-auth"


class Realm(msgspec.Struct, frozen=True, kw_only=True):
    """`clusters` are addresses (`https://host/v1`) by their names in capitals; `key2` is let in while `key` changes."""

    key: str
    key2: str = ""
    clusters: Mapping[str, str] = {}


class Target(NamedTuple):
    """The address of a container elsewhere, without a slash at its end, and what requests to it are signed with.

    Without a realm nothing is signed, and the key of the container's owner itself goes along.
    """

    url: str
    realm: str = ""
    key: str = ""


def target(said: str, hosts: Collection[str], known: Mapping[str, Realm]) -> Target | None:
    """Where `X-Container-Sync-To` (each character a byte) means; None for nowhere.

    Invalid, in Swift's words, for what is neither `//realm/cluster/account/container` of a known realm nor an address
    at one of `hosts`.
    """
    value = said.rstrip("/")
    if not value:
        return None
    if value.startswith("//"):
        return _of_realm(said, value, known)
    try:
        place = urlsplit(value)
        _ = place.port
    except ValueError:
        raise Invalid(f"Invalid X-Container-Sync-To format {said!r}") from None
    if place.scheme not in ("http", "https"):
        raise Invalid(f'Invalid scheme {place.scheme!r} in X-Container-Sync-To, must be "//", "http", or "https".')
    if not place.path:
        raise Invalid("Path required in X-Container-Sync-To")
    if place.query or place.fragment or ";" in place.path:
        raise Invalid("Params, queries, and fragments not allowed in X-Container-Sync-To")
    if place.hostname not in hosts:
        raise Invalid(f"Invalid host {place.hostname!r} in X-Container-Sync-To")
    return Target(_address(place))


def _of_realm(said: str, value: str, known: Mapping[str, Realm]) -> Target:
    words = value[2:].split("/")
    if len(words) != 4:
        raise Invalid(f"Invalid X-Container-Sync-To format {said!r}")
    name, cluster, account, container = words
    realm = known.get(name.upper())
    if realm is None or not realm.key:
        raise Invalid(f"No realm key for {name!r}")
    endpoint = realm.clusters.get(cluster.upper(), "")
    if not endpoint.startswith(("http://", "https://")):
        raise Invalid(f"No cluster endpoint for {name!r} {cluster!r}")
    place = urlsplit(f"{endpoint.rstrip('/')}/{account}/{container}")
    return Target(_address(place), name.upper(), realm.key)


def _address(place: SplitResult) -> str:
    """Quoted once and in one way, for the path is signed; nothing but scheme, host and path of it."""
    host = place.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = f":{place.port}" if place.port else ""
    path = quote(unquote_to_bytes(place.path.encode("latin-1")))
    return f"{place.scheme}://{host}{port}{path}"


def realms(said: Mapping[str, Mapping[str, Any]]) -> dict[str, Realm]:
    """By their names in capitals; settings are Swift's: `key`, `key2`, `cluster_<name>`."""
    return {
        name.upper(): Realm(
            key=str(parts.get("key", "")),
            key2=str(parts.get("key2", "")),
            clusters={
                each.removeprefix("cluster_").upper(): str(value)
                for each, value in parts.items()
                if each.startswith("cluster_")
            },
        )
        for name, parts in said.items()
    }


def sign(method: str, path: str, stamp: str, nonce: str, realm_key: str, user_key: str) -> str:
    """In hexadecimal digits; `path` is as on the wire, with percent signs."""
    lines = "\n".join((method, path, stamp, nonce, user_key))
    return hmac.new(realm_key.encode(), lines.encode(), "sha1").hexdigest()


def signed(at: Target, method: str, name: str, stamp: str, nonce: str, user_key: str) -> dict[str, str]:
    """The headers of a request for the object `name` (quoted) in a container elsewhere."""
    if not at.realm:
        return {KEY: user_key}
    key = user_key.encode("latin-1").decode(errors="replace")
    signature = sign(method, f"{urlsplit(at.url).path}/{name}", stamp, nonce, at.key, key)
    return {AUTH: f"{at.realm} {nonce} {signature}"}


def judge(known: Mapping[str, Realm], said: str, method: str, path: str, stamp: str, user_key: str) -> None:
    """Unauthorized, with the reason as its code, where `X-Container-Sync-Auth` is not what a cluster of ours says."""
    words = said.split()
    if len(words) != 3:
        raise _refused("not-3-args")
    name, nonce, signature = words
    realm = known.get(name.upper())
    if realm is None or not realm.key:
        raise _refused("no-local-realm-key")
    if not user_key:
        raise _refused("no-local-user-key")
    for key in (realm.key, realm.key2):
        if key and hmac.compare_digest(
            sign(method, path, stamp, nonce, key, user_key).encode(), signature.encode(errors="replace")
        ):
            return
    raise _refused("invalid-sig")


def _refused(why: str) -> Unauthorized:
    return Unauthorized("X-Container-Sync-Auth header not valid; contact cluster operator for support.", code=why)
