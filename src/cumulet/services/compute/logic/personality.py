# SPDX-License-Identifier: Apache-2.0
"""Files that a user has put into a new server ("personality", up to 2.56): guests find them on the config drive."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.services.compute.logic import quotas

_FOLDER = "content"


class File(msgspec.Struct, frozen=True):
    """`contents` are in base64, as they came."""

    path: str
    contents: str


def check(cloud: Cloud, source: Source, project_id: str, files: Sequence[File]) -> None:
    """OverQuota where these are too many or too long. Contents count as they came, as with Nova."""
    if files:
        quotas.check_files(
            cloud,
            source,
            project_id,
            count=len(files),
            path=max(len(each.path) for each in files),
            contents=max(len(each.contents) for each in files),
        )


def to_words(files: Sequence[File]) -> list[dict[str, str]]:
    """Plain data, for the arguments of a flow."""
    words: list[dict[str, str]] = msgspec.to_builtins(files)
    return words


def of(words: Mapping[str, Any]) -> list[File]:
    """The files in a flow's arguments."""
    return msgspec.convert(words.get("files", []), list[File])


def listed(files: Sequence[File]) -> list[dict[str, str]]:
    """What `meta_data.json` says of them."""
    return [{"path": each.path, "content_path": f"/{_name(at)}"} for at, each in enumerate(files)]


def contents(files: Sequence[File]) -> dict[str, bytes]:
    """Their bytes, by the path below `openstack` on the config drive."""
    return {_name(at): base64.b64decode(each.contents) for at, each in enumerate(files)}


def _name(at: int) -> str:
    return f"{_FOLDER}/{at:04}"
