# SPDX-License-Identifier: Apache-2.0
"""Which bucket and which key a request names.

Names come as on the wire without percent signs: each character stands for a byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cumulet.services.object_store.s3.errors import S3Error

UPLOADS = "+segments"  # ends the name of the container that has a bucket's multipart uploads

_ADDRESS = re.compile(r"(?:(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])\.){3}(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])", re.ASCII)
_STRICT = re.compile(r"[a-z0-9](?:[-.a-z0-9]{1,61})[a-z0-9]", re.ASCII)
_LOOSE = re.compile(r"[a-zA-Z0-9][-.a-zA-Z0-9_]{2,254}", re.ASCII)


def is_bucket(name: str, *, dns_compliant: bool = True) -> bool:
    """By S3's rules for names; without `dns_compliant` by its older ones."""
    if _ADDRESS.fullmatch(name):
        return False
    if dns_compliant:
        return bool(_STRICT.fullmatch(name)) and not any(each in name for each in ("..", ".-", "-."))
    return bool(_LOOSE.fullmatch(name)) and not name.endswith(".")


def bucket_of(host: str, domains: Iterable[str]) -> str | None:
    """The bucket that stands in a host's name before one of the domains; a port does not count."""
    name = host.rpartition(":")[0] if ":" in host else host
    for domain in domains:
        ending = f".{domain.removeprefix('.')}"
        if name.endswith(ending):
            return name.removesuffix(ending)
    return None


def split(path: str, bucket_in_host: str | None, *, dns_compliant: bool = True) -> tuple[str, str]:
    """Bucket and key, as text; "" for those that the path has not. InvalidURI or InvalidBucketName for no names."""
    try:
        words = path.encode("latin-1").decode()
    except UnicodeError:
        raise S3Error("InvalidURI", Uri=path) from None
    if not words.startswith("/") or "\0" in words:
        raise S3Error("InvalidURI", Uri=path)
    if bucket_in_host:
        return bucket_in_host, words[1:]
    bucket, _, key = words[1:].partition("/")
    if bucket and not is_bucket(bucket, dns_compliant=dns_compliant):
        raise S3Error("InvalidBucketName", BucketName=bucket)
    if key and not bucket:
        raise S3Error("InvalidURI", Uri=path)
    return bucket, key
