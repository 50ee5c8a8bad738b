# SPDX-License-Identifier: Apache-2.0
"""Bucket policies that say what the lists of a container can say: that everybody may read, or read and list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from cumulet.services.object_store.s3.errors import S3Error, unsupported

LARGEST = 20 * 1024  # bytes
LONGEST = 8000  # of what is kept in one header

READ, LIST = "s3:getobject", "s3:listbucket"
_STATEMENT = frozenset(("Sid", "Effect", "Principal", "Action", "Resource"))
_VERSIONS = ("2008-10-17", "2012-10-17")


class Policy(msgspec.Struct, frozen=True):
    """`kept` is the document in ASCII, `read` the container's list."""

    kept: str
    read: str


def parse(data: bytes, bucket: str) -> Policy:
    """MalformedPolicy for what is none, NotImplemented for what lists of containers cannot say."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise S3Error("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'") from None
    if not isinstance(found, dict) or found.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise S3Error("MalformedPolicy")
    statements = found.get("Statement")
    every = [statements] if isinstance(statements, dict) else statements
    if not isinstance(every, list) or not every:
        raise S3Error("MalformedPolicy", "Missing required field Statement")
    allowed: set[str] = set()
    for each in every:
        allowed |= _allowed(each, bucket)
    kept = json.dumps(found, separators=(",", ":"))
    if len(kept) > LONGEST:
        raise S3Error("InvalidRequest", f"Policies longer than {LONGEST} bytes are not kept")
    return Policy(kept, _list(allowed))


def _allowed(statement: Any, bucket: str) -> set[str]:
    """What a statement lets everybody do."""
    if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
        raise S3Error("MalformedPolicy")
    if statement["Effect"] == "Deny" or not set(statement) <= _STATEMENT:
        raise unsupported("Policies with conditions, exceptions or denials are not supported.")
    if statement.get("Principal") not in ("*", {"AWS": "*"}, {"AWS": ["*"]}):
        raise unsupported("Policies for single principals are not supported.")
    actions, resources = _words(statement, "Action"), set(_words(statement, "Resource"))
    whole, inside = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"
    if any(not each.startswith((f"{whole}/", whole)) for each in resources):
        raise S3Error("MalformedPolicy", "Policy has invalid resource")
    if not resources <= {whole, inside}:
        raise unsupported("Policies for parts of a bucket are not supported.")
    found: set[str] = set()
    for each in actions:
        action = each.lower()
        if action not in (READ, LIST):
            raise unsupported(f"Policies on {each} are not supported.")
        if (whole if action == LIST else inside) not in resources:
            raise S3Error("MalformedPolicy", "Action does not apply to any resource(s) in statement")
        found.add(action)
    return found


def _words(statement: dict[str, Any], name: str) -> Sequence[str]:
    found = statement.get(name)
    words = [found] if isinstance(found, str) else found
    if not isinstance(words, list) or not words or not all(isinstance(each, str) for each in words):
        raise S3Error("MalformedPolicy", f"Missing required field {name}")
    return words


def _list(allowed: set[str]) -> str:
    if READ not in allowed:
        raise unsupported("Who may list a bucket may read its objects, too.")
    return ".r:*,.rlistings" if LIST in allowed else ".r:*"
