# SPDX-License-Identifier: Apache-2.0
"""Where buckets and objects have grants of their own: who may do what by them."""

from __future__ import annotations

from cumulet.services.object_store.api.message import Headers, Response
from cumulet.services.object_store.s3 import grants
from cumulet.services.object_store.s3.call import Call
from cumulet.services.object_store.s3.errors import S3Error
from cumulet.services.object_store.s3.grants import GrantList

OWNER = "OWNER"
ACL = "x-object-transient-sysmeta-s3api-acl"


async def on_bucket(call: Call, permission: str) -> None:
    """AccessDenied where the caller may not; NoSuchBucket without a bucket."""
    if call.settings.s3_acl:
        _check(call, await call.bucket_grants(), permission)


def on_object(call: Call, headers: Headers, permission: str) -> None:
    """The same by the headers of the object."""
    if call.settings.s3_acl:
        _check(call, of_object(headers), permission)


def of_object(headers: Headers) -> GrantList:
    return grants.of_kept(headers.get(ACL, ""))


async def for_upload(call: Call) -> Headers:
    """Headers that give a new object its grants. AccessDenied where the caller may not upload."""
    if not call.settings.s3_acl:
        if "x-amz-acl" in call.headers:
            grants.lists(call.headers["x-amz-acl"])
        return {}
    bucket = await call.bucket_grants()
    _check(call, bucket, "WRITE")
    owner = bucket.owner or call.user
    found = grants.of_headers(call.headers, owner, call.user) or grants.canned("private", owner, call.user)
    return {ACL: grants.kept(found)}


async def readable(call: Call, key: str, answer: Response) -> Response:
    """An answer with an object, which is closed where the caller may not read that."""
    try:
        on_object(call, answer.headers, "READ")
    except S3Error:
        await answer.close()
        raise
    return answer


def _check(call: Call, found: GrantList, permission: str) -> None:
    if not found.allows(call.user, permission, no_owner=call.settings.allow_no_owner):
        raise S3Error("AccessDenied")
