# SPDX-License-Identifier: Apache-2.0
"""Which pages of other sites may use a bucket: rules of S3, and the answers that browsers look for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from cumulet.services.object_store.s3 import documents
from cumulet.services.object_store.s3.documents import Node, element, leaf
from cumulet.services.object_store.s3.errors import S3Error

METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
MOST = 100
LARGEST = 64 * 1024  # bytes of a document


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Origins and headers may have one `*` each. `age` is in seconds."""

    methods: tuple[str, ...]
    origins: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    age: int | None = None
    id: str = ""


_kept = msgspec.json.Decoder(tuple[Rule, ...])


def parse(data: bytes) -> tuple[Rule, ...]:
    root = documents.parse(data, "CORSConfiguration")
    root.only("CORSRule")
    found = tuple(_rule(each) for each in root)
    if not found or len(found) > MOST:
        raise S3Error("MalformedXML")
    return found


def _rule(node: Node) -> Rule:
    node.only("ID", "AllowedMethod", "AllowedOrigin", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds")
    methods, origins, headers, exposed = (
        tuple(each.text for each in node.all(tag))
        for tag in ("AllowedMethod", "AllowedOrigin", "AllowedHeader", "ExposeHeader")
    )
    if not methods or not origins:
        raise S3Error("MalformedXML")
    for each in methods:
        if each not in METHODS:
            words = f"Found unsupported HTTP method in CORS config. Unsupported method is {each}"
            raise S3Error("InvalidRequest", words)
    for name, said in (("AllowedOrigin", origins), ("AllowedHeader", headers)):
        for each in said:
            if each.count("*") > 1:
                raise S3Error("InvalidRequest", f'{name} "{each}" can not have more than one wildcard.')
    age, id_ = node.one("MaxAgeSeconds"), node.one("ID")
    if age is not None and not (age.text.isascii() and age.text.isdigit() and len(age.text) < 10):
        raise S3Error("MalformedXML")
    return Rule(
        methods=methods,
        origins=origins,
        headers=headers,
        exposed=exposed,
        age=None if age is None else int(age.text),
        id="" if id_ is None else id_.text,
    )


def kept(rules: Sequence[Rule]) -> str:
    """As a header of the store."""
    return msgspec.json.encode(rules).decode()


@lru_cache(1024)
def of_kept(said: str) -> tuple[Rule, ...]:
    try:
        return _kept.decode(said) if said else ()
    except msgspec.DecodeError:
        return ()


def view(rules: Sequence[Rule]) -> bytes:
    return documents.document("CORSConfiguration", [_shown(each) for each in rules])


def _shown(rule: Rule) -> str:
    inside = [leaf("ID", rule.id)] if rule.id else []
    inside += [leaf("AllowedMethod", each) for each in rule.methods]
    inside += [leaf("AllowedOrigin", each) for each in rule.origins]
    inside += [leaf("AllowedHeader", each) for each in rule.headers]
    inside += [leaf("ExposeHeader", each) for each in rule.exposed]
    if rule.age is not None:
        inside.append(leaf("MaxAgeSeconds", rule.age))
    return element("CORSRule", *inside)


def match(rules: Sequence[Rule], origin: str, method: str, headers: Sequence[str] = ()) -> Rule | None:
    """The first rule that lets a page of this origin do this, with these headers of its own."""
    for rule in rules:
        if method not in rule.methods or not any(_fits(each, origin) for each in rule.origins):
            continue
        if all(any(_fits(each.lower(), name.lower()) for each in rule.headers) for name in headers):
            return rule
    return None


def told(rule: Rule, origin: str, *, asked: Sequence[str] = (), preflight: bool = False) -> dict[str, str]:
    """Headers of the answer."""
    every = "*" in rule.origins
    found = {"access-control-allow-origin": "*" if every else origin}
    if not every:
        found["access-control-allow-credentials"] = "true"
    if rule.exposed:
        found["access-control-expose-headers"] = ", ".join(rule.exposed)
    if preflight:
        found["access-control-allow-methods"] = ", ".join(rule.methods)
        if asked:
            found["access-control-allow-headers"] = ", ".join(asked)
        if rule.age is not None:
            found["access-control-max-age"] = str(rule.age)
    found["vary"] = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
    return found


def asked_headers(headers: Mapping[str, str]) -> list[str]:
    said = headers.get("access-control-request-headers", "")
    return [each.strip().lower() for each in said.split(",") if each.strip()]


def _fits(pattern: str, word: str) -> bool:
    if "*" not in pattern:
        return pattern == word
    head, _, tail = pattern.partition("*")
    return len(word) >= len(head) + len(tail) and word.startswith(head) and word.endswith(tail)
