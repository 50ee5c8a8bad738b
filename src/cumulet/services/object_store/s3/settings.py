# SPDX-License-Identifier: Apache-2.0
"""What an operator may choose of the S3 API; names and defaults are those of Swift's s3api."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.errors import Invalid


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`location` is the region that signatures are for. `storage_domains` are those whose names begin with a bucket's.

    With `s3_acl` each bucket and each object has grants of its own, which nothing but the S3 API heeds; without,
    canned lists become those of the container. Sizes are bytes, `allowable_clock_skew` seconds.
    """

    location: str = "us-east-1"
    storage_domains: tuple[str, ...] = ()
    dns_compliant_bucket_names: bool = True
    max_bucket_listing: int = 1000
    max_parts_listing: int = 1000
    max_upload_part_num: int = 1000
    max_multi_delete_objects: int = 1000
    multi_delete_concurrency: int = 2
    allow_multipart_uploads: bool = True
    min_segment_size: int = 5 * 1024 * 1024
    s3_acl: bool = False
    allow_no_owner: bool = False
    check_bucket_owner: bool = False
    allowable_clock_skew: int = 15 * 60
    ratelimit_as_client_error: bool = False
    cors_preflight_allow_origin: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if "*" in self.cors_preflight_allow_origin and len(self.cors_preflight_allow_origin) > 1:
            raise ValueError("* stands for all origins and must be the only one")


def of(words: Mapping[str, Any]) -> Settings:
    """Invalid for what is no setting."""
    try:
        return msgspec.convert(dict(words), Settings)
    except msgspec.ValidationError as error:
        raise Invalid(f"s3api: {error}") from None
