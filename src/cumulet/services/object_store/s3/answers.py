# SPDX-License-Identifier: Apache-2.0
"""What S3 says where Swift's API says something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cumulet.services.object_store.api.message import Headers, Response, text
from cumulet.services.object_store.s3 import listings, times
from cumulet.services.object_store.s3.errors import S3Error, argument, no_bucket, no_key

if TYPE_CHECKING:
    from cumulet.services.object_store.s3.call import Call

XML = "application/xml"
ETAG = "x-object-sysmeta-s3api-etag"
CIPHER = "x-object-sysmeta-s3api-cipher"  # how the store has encrypted it, in S3's words

_KEPT = frozenset(
    (
        "accept-ranges", "content-length", "content-type", "content-range", "content-encoding", "content-disposition",
        "content-language", "etag", "last-modified", "x-robots-tag", "cache-control", "expires", "vary",
    )
)  # fmt: skip
_NAMED = {
    "x-object-version-id": "x-amz-version-id",
    "x-parts-count": "x-amz-mp-parts-count",
    "x-copied-from-version-id": "x-amz-copy-source-version-id",
}
_OBJECT = {
    "HEAD": (200, 206, 304),
    "GET": (200, 206, 304),
    "PUT": (201, 202),
    "POST": (202,),
    "DELETE": (200, 204),
}
_BUCKET = {"HEAD": (200, 204), "GET": (200, 204), "PUT": (201,), "POST": (204,), "DELETE": (204,)}


def successes(method: str, bucket: str, key: str) -> tuple[int, ...]:
    if key:
        return _OBJECT[method]
    return _BUCKET[method] if bucket else (200, 204)


def document(body: bytes) -> Response:
    return Response(200, {"content-type": XML}, body)


def is_large(headers: Headers) -> bool:
    return headers.get("x-static-large-object", "").lower() in listings.TRUE


def translated(headers: Headers) -> Headers:
    """The headers of Swift's answer, as S3 has them."""
    found: Headers = {}
    for name, value in headers.items():
        if name in _KEPT or name.startswith("access-control-"):
            found[name] = value
        elif name.startswith("x-object-meta-"):
            found["x-amz-meta-" + name[14:].replace("=5f", "_").replace("=5F", "_")] = value
        elif name in _NAMED:
            found[_NAMED[name]] = value
        elif name == "x-delete-at" and value.isascii() and value.isdigit():
            rule = headers.get("x-object-sysmeta-s3api-rule", "swift-object-expiration")
            found["x-amz-expiration"] = f'expiry-date="{times.header(int(value))}", rule-id="{rule}"'
    if headers.get("content-type") == listings.MARKER_TYPE:
        found["x-amz-delete-marker"] = "true"
    if headers.get(CIPHER):
        found["x-amz-server-side-encryption"] = headers[CIPHER]
    if headers.get(ETAG):
        found["etag"] = headers[ETAG]
    elif is_large(headers) and "etag" in found:
        found["etag"] = found["etag"].strip('"') + "-N"
    if "etag" in found:
        found["etag"] = f'"{found["etag"].strip(chr(34))}"'
    return found


def error(call: Call, method: str, bucket: str, key: str, found: Response, words: str) -> S3Error:
    """What a refusal of Swift's API means here; `words` are its body."""
    special = _special(call, method, bucket, key, found, words)
    if special is not None:
        return special
    status = found.status
    if status == 400:
        return _bad_request(call, words)
    if status in (401, 403):
        return S3Error("AccessDenied")
    if status == 416:
        listings.part_number(call.query, call.settings.max_upload_part_num, _parts(found))
        return S3Error("InvalidRange")
    if status == 503:
        return S3Error("ServiceUnavailable")
    if status in (498, 429):
        slow = S3Error("SlowDown")
        slow.status = 429 if call.settings.ratelimit_as_client_error else slow.status
        return slow
    if status == 409:
        return S3Error("BrokenMPU" if call.method == "GET" else "ServiceUnavailable")
    if status == 501:
        return S3Error("NotImplemented")
    return S3Error("InternalError", f"unexpected status code {status}")


def _special(call: Call, method: str, bucket: str, key: str, found: Response, words: str) -> S3Error | None:
    status = found.status
    if not bucket:
        return None
    if not key:
        if status == 404:
            return no_bucket(bucket)
        return S3Error("BucketNotEmpty") if method == "DELETE" and status == 409 else None
    if status == 404:
        return no_bucket(bucket) if method == "PUT" else no_key(key)
    if status == 412:
        return S3Error("PreconditionFailed")
    if method != "PUT":
        return None
    if status == 422:
        return S3Error("BadDigest", ExpectedDigest=call.headers.get("etag", ""))
    if status == 413:
        return S3Error("EntityTooLarge", words if "quota" in words else "")
    if status == 411:
        return S3Error("MissingContentLength")
    if status in (408, 499):
        return S3Error("RequestTimeout")
    return None


def _bad_request(call: Call, words: str) -> S3Error:
    for name in ("X-Delete-At", "X-Delete-After"):
        if name in words:
            return argument(name, call.headers.get(name.lower(), ""), words)
    return S3Error("InvalidRequest", words)


def _parts(found: Response) -> int | None:
    said = found.headers.get("x-parts-count", "")
    return int(said) if said.isascii() and said.isdigit() else None


def shown(words: str) -> str:
    """A value of a header, for a document."""
    try:
        return text(words)
    except UnicodeError:
        return words
