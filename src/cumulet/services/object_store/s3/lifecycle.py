# SPDX-License-Identifier: Apache-2.0
"""When objects of a bucket expire: rules of S3, as far as the store can keep them.

An object gets its end when it is uploaded, by the rules that the bucket has then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from cumulet.services.object_store.s3 import documents, times
from cumulet.services.object_store.s3.documents import Node, element, leaf
from cumulet.services.object_store.s3.errors import S3Error, argument, unsupported

MOST = 1000
LARGEST = 256 * 1024  # bytes of a document
DAY = 86_400  # seconds

_UNSUPPORTED = ("Transition", "NoncurrentVersionTransition", "NoncurrentVersionExpiration")


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Objects with this prefix and these tags expire `days` after they were made, or at `date` (seconds since 1970)."""

    id: str
    enabled: bool
    prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    days: int | None = None
    date: int | None = None
    filtered: bool = True

    def is_for(self, key: str, tags: Mapping[str, str]) -> bool:
        return self.enabled and key.startswith(self.prefix) and all(tags.get(name) == said for name, said in self.tags)


_kept = msgspec.json.Decoder(tuple[Rule, ...])


def parse(data: bytes) -> tuple[Rule, ...]:
    root = documents.parse(data, "LifecycleConfiguration")
    root.only("Rule")
    found = tuple(_rule(each, number) for number, each in enumerate(root, 1))
    if not found or len(found) > MOST:
        raise S3Error("MalformedXML")
    if len({each.id for each in found}) < len(found):
        raise argument("ID", "", "Rule ID must be unique. Found same ID for more than one rule")
    return found


def _rule(node: Node, number: int) -> Rule:
    for each in _UNSUPPORTED:
        if node.all(each):
            raise unsupported(f"{each} is not supported.")
    node.only("ID", "Prefix", "Filter", "Status", "Expiration", "AbortIncompleteMultipartUpload")
    if node.all("AbortIncompleteMultipartUpload"):
        raise unsupported("AbortIncompleteMultipartUpload is not supported.")
    status, expiration = node.word("Status"), node.one("Expiration")
    if status not in ("Enabled", "Disabled") or expiration is None:
        raise S3Error("MalformedXML")
    id_, filter_, prefix = node.one("ID"), node.one("Filter"), node.one("Prefix")
    if id_ is not None and len(id_.text) > 255:
        raise argument("ID", id_.text, "ID length should not exceed allowed limit of 255")
    if (filter_ is None) == (prefix is None):
        raise S3Error("MalformedXML")
    found, tags = (prefix.text, ()) if prefix is not None else _filter(filter_)
    days, date = _end(expiration)
    return Rule(
        id=id_.text if id_ is not None and id_.text else f"rule-{number}",
        enabled=status == "Enabled",
        prefix=found,
        tags=tags,
        days=days,
        date=date,
        filtered=prefix is None,
    )


def _filter(node: Node | None) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Prefix and tags."""
    assert node is not None
    inside = list(node)
    if not inside:
        return "", ()
    if len(inside) > 1:
        raise S3Error("MalformedXML")
    (only,) = inside
    if only.tag == "And":
        only.only("Prefix", "Tag")
        prefix = only.one("Prefix")
        return "" if prefix is None else prefix.text, tuple(_tag(each) for each in only.all("Tag"))
    if only.tag == "Prefix":
        return only.text, ()
    if only.tag == "Tag":
        return "", (_tag(only),)
    raise unsupported(f"{only.tag} is not supported in filters.")


def _tag(node: Node) -> tuple[str, str]:
    return node.word("Key"), node.word("Value")


def _end(node: Node) -> tuple[int | None, int | None]:
    if node.all("ExpiredObjectDeleteMarker"):
        raise unsupported("ExpiredObjectDeleteMarker is not supported.")
    node.only("Days", "Date")
    days, date = node.one("Days"), node.one("Date")
    if (days is None) == (date is None):
        raise S3Error("MalformedXML")
    if days is not None:
        if not (days.text.isascii() and days.text.isdigit() and len(days.text) < 10):
            raise S3Error("MalformedXML")
        if not int(days.text):
            raise argument("Days", 0, "'Days' for Expiration action must be a positive integer")
        return int(days.text), None
    try:
        found = datetime.fromisoformat(date.text if date is not None else "")
        second = int(found.replace(tzinfo=found.tzinfo or UTC).timestamp())
    except (ValueError, OverflowError):
        raise S3Error("MalformedXML") from None
    if not 0 <= second <= times.LAST or second % DAY:
        raise argument("Date", date.text if date else "", "'Date' must be at midnight GMT")
    return None, second


def kept(rules: Sequence[Rule]) -> str:
    """As a header of the store, in ASCII."""
    return json.dumps(msgspec.to_builtins(rules), separators=(",", ":"))


@lru_cache(1024)
def of_kept(said: str) -> tuple[Rule, ...]:
    try:
        return _kept.decode(said) if said else ()
    except msgspec.DecodeError:
        return ()


def view(rules: Sequence[Rule]) -> bytes:
    return documents.document("LifecycleConfiguration", [_shown(each) for each in rules])


def _shown(rule: Rule) -> str:
    tags = [element("Tag", leaf("Key", key), leaf("Value", value)) for key, value in rule.tags]
    prefix = [leaf("Prefix", rule.prefix)] if rule.prefix or not tags else []
    if len(tags) + len(prefix) > 1:
        prefix = [element("And", *prefix, *tags)]
        tags = []
    end = leaf("Date", times.xml(rule.date or 0)) if rule.days is None else leaf("Days", rule.days)
    return element(
        "Rule",
        leaf("ID", rule.id),
        element("Filter", *prefix, *tags) if rule.filtered else leaf("Prefix", rule.prefix),
        leaf("Status", "Enabled" if rule.enabled else "Disabled"),
        element("Expiration", end),
    )


def end(rules: Sequence[Rule], key: str, tags: Mapping[str, str], made: float) -> tuple[int, str] | None:
    """When an object made at `made` expires, as a second since 1970, and by which rule; None for never.

    Days end at midnight, after which S3 has the object for no whole day more.
    """
    found: list[tuple[int, str]] = []
    for rule in rules:
        if not rule.is_for(key, tags):
            continue
        if rule.days is not None:
            found.append((-(-int(made + rule.days * DAY) // DAY) * DAY, rule.id))
        elif rule.date is not None:
            found.append((rule.date, rule.id))
    return min(found, default=None)
