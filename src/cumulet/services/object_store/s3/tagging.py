# SPDX-License-Identifier: Apache-2.0
"""Tags of buckets and objects, as documents, as a header and as they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from cumulet.services.object_store.s3 import documents
from cumulet.services.object_store.s3.errors import S3Error

MOST = {"bucket": 50, "object": 10}
LONGEST_KEY, LONGEST_VALUE = 128, 256

Tags = Mapping[str, str]


def parse(data: bytes, kind: str) -> Tags:
    """Of a document."""
    root = documents.parse(data, "Tagging")
    found = root.one("TagSet")
    if found is None:
        raise S3Error("MalformedXML")
    found.only("Tag")
    return _checked([(each.word("Key"), each.word("Value")) for each in found], kind)


def of_header(said: str) -> Tags:
    """Of `x-amz-tagging`, which is in the form of a query."""
    try:
        pairs = parse_qsl(said, keep_blank_values=True, strict_parsing=bool(said), encoding="utf-8", errors="strict")
    except ValueError:
        raise S3Error("InvalidArgument", ArgumentName="x-amz-tagging", ArgumentValue=said) from None
    return _checked(pairs, "object")


def kept(tags: Tags) -> str:
    """As a header of the store, in ASCII."""
    return urlencode(list(tags.items()))


def of_kept(said: str) -> Tags:
    return dict(parse_qsl(said, keep_blank_values=True))


def view(tags: Tags) -> bytes:
    leaf = documents.leaf
    inside = [documents.element("Tag", leaf("Key", key), leaf("Value", value)) for key, value in tags.items()]
    return documents.document("Tagging", [documents.element("TagSet", *inside)])


def _checked(pairs: list[tuple[str, str]], kind: str) -> Tags:
    if len(pairs) > MOST[kind]:
        if kind == "object":
            raise S3Error("BadRequest", "Object tags cannot be greater than 10")
        raise S3Error("InvalidTag", f"The TagSet may hold {MOST[kind]} tags")
    found: dict[str, str] = {}
    for key, value in pairs:
        if key in found:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key", TagKey=key)
        if not key or len(key) > LONGEST_KEY:
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", TagKey=key)
        if len(value) > LONGEST_VALUE:
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid", TagKey=key, TagValue=value)
        if key.lower().startswith("aws:"):
            raise S3Error("InvalidTag", "System tags cannot be added/updated by requester", TagKey=key)
        found[key] = value
    return found
