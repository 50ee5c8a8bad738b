# SPDX-License-Identifier: Apache-2.0
"""Requests that are carried out only if the object is, or is not, what the client knows of it (RFC 9110, 13)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate
from typing import Literal

from cumulet.kernel.errors import Invalid

NOT_MODIFIED: Literal[304] = 304
FAILED: Literal[412] = 412


def judge(headers: Mapping[str, str], etag: str | None, modified: int) -> Literal[304, 412] | None:
    """How a download of something with this ETag, last `modified` at this second, ends; None where it goes on.

    `etag` is None for what is not there: then only that something be there can fail.
    """
    wanted, unwanted = headers.get("if-match"), headers.get("if-none-match")
    if etag is None:
        return FAILED if wanted is not None and "*" in tags(wanted) else None
    if unwanted is not None and _matches(unwanted, etag):
        return NOT_MODIFIED
    if wanted is not None and not _matches(wanted, etag):
        return FAILED
    since = time(headers.get("if-modified-since"))
    if since is not None and modified <= since:
        return NOT_MODIFIED
    since = time(headers.get("if-unmodified-since"))
    if since is not None and modified > since:
        return FAILED
    return None


def only_new(headers: Mapping[str, str]) -> bool:
    """Whether an upload may not replace anything. Invalid for a condition on what it may replace."""
    said = headers.get("if-none-match")
    if said is None:
        return False
    if "*" not in tags(said):
        raise Invalid("If-None-Match only supports *")
    return True


def tags(text: str) -> set[str]:
    """Those that a header names, without their quotes."""
    return {bare(each.strip()) for each in text.split(",")} - {""}


def bare(tag: str) -> str:
    """An ETag without quotes around it."""
    return tag[1:-1] if len(tag) > 1 and tag[0] == tag[-1] == '"' else tag


def time(text: str | None) -> int | None:
    """The second since 1970 of any of HTTP's three forms of a date; None for what is none."""
    try:
        parts = parsedate(text) if text else None
        return None if parts is None else int(datetime(*parts[:6], tzinfo=UTC).timestamp())
    except (ValueError, OverflowError, IndexError, TypeError):  # the parser stumbles over some words
        return None


def _matches(header: str, etag: str) -> bool:
    found = tags(header)
    return "*" in found or bare(etag) in found
