# SPDX-License-Identifier: Apache-2.0
"""Headers of requests that make no sense, or that ask for what is not there."""

from __future__ import annotations

import binascii
import re

from cumulet.services.object_store.api.message import Headers
from cumulet.services.object_store.s3 import copies
from cumulet.services.object_store.s3.asked import stripped
from cumulet.services.object_store.s3.errors import S3Error, argument, unsupported

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_NOT_ON_PUT = ("if-match", "if-modified-since", "if-unmodified-since")


def check(method: str, headers: Headers, *, encrypts: bool = False) -> None:
    """Refusals that need nothing but the headers; `encrypts` is whether the store encrypts what is uploaded."""
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise argument("Content-Length", length)
    if method == "PUT" and (any(name in headers for name in _NOT_ON_PUT) or headers.get("if-none-match", "*") != "*"):
        raise unsupported("Conditional object PUTs are not supported.")
    copies.check(headers)
    if headers.get("x-amz-storage-class", "STANDARD") != "STANDARD":
        raise S3Error("InvalidStorageClass")
    if "x-amz-mfa" in headers:
        raise unsupported("MFA Delete is not supported.")
    _check_encryption(headers, encrypts=encrypts)
    if "x-amz-website-redirect-location" in headers:
        raise unsupported("Website redirection is not supported.")


def _check_encryption(headers: Headers, *, encrypts: bool) -> None:
    name = "x-amz-server-side-encryption"
    said = headers.get(name)
    if said is None and not any(each.startswith(f"{name}-customer-") for each in headers):
        return
    if said not in (None, "aws:kms", "AES256"):
        raise argument(name, said, "The encryption method specified is not supported")
    if said != "AES256" or not encrypts:
        raise unsupported("Server-side encryption is not supported.")


def etag(headers: Headers) -> str | None:
    """The MD5 of the body in hexadecimal digits, by Content-MD5; InvalidDigest for what is none."""
    said = stripped(headers.get("content-md5"))
    if said is None:
        return None
    try:
        found = binascii.a2b_base64(said) if _BASE64.fullmatch(said) else b""
    except binascii.Error:
        found = b""
    if len(found) != 16:
        raise S3Error("InvalidDigest", ContentMD5=said)
    return found.hex()
