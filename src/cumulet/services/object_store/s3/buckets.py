# SPDX-License-Identifier: Apache-2.0
"""The service and its buckets."""

from __future__ import annotations

import asyncio

from cumulet.services.object_store.api.message import Response
from cumulet.services.object_store.s3 import answers, documents, grants, listings, multipart, naming, rights, times
from cumulet.services.object_store.s3.call import SYSTEM_BUCKET, Call
from cumulet.services.object_store.s3.documents import element, leaf
from cumulet.services.object_store.s3.errors import S3Error, unsupported

LARGEST = 10240  # bytes of a small document
VERSIONS = "x-container-sysmeta-versions-enabled"
_TOO_OLD = "2009-02-03T16:45:09.000Z"  # of a bucket whose time nobody knows, as Swift tells it


async def service(call: Call) -> Response:
    """All buckets that the caller has."""
    found: list[str] = []
    async for each in call.all("", {}):
        name = each.get("name", "")
        if not naming.is_bucket(name, dns_compliant=call.settings.dns_compliant_bucket_names):
            continue
        if call.settings.s3_acl and call.settings.check_bucket_owner and not await _owns(call, name):
            continue
        made = times.of_listing(each["last_modified"]) if "last_modified" in each else _TOO_OLD
        found.append(element("Bucket", leaf("Name", name), leaf("CreationDate", made)))
    parts = [grants.person("Owner", call.user), element("Buckets", *found)]
    return answers.document(documents.document("ListAllMyBucketsResult", parts))


async def _owns(call: Call, bucket: str) -> bool:
    about = await call.ask("HEAD", bucket, free=True)
    found = grants.of_kept(about.headers.get(f"{SYSTEM_BUCKET}acl", ""))
    return about.ok and found.allows(call.user, rights.OWNER, no_owner=call.settings.allow_no_owner)


async def head(call: Call) -> Response:
    await rights.on_bucket(call, "READ")
    found = await call.do("HEAD", call.bucket)
    return Response(200, {**answers.translated(found.headers), "x-amz-bucket-region": call.settings.location})


async def get(call: Call) -> Response:
    """What lies in it."""
    wanted = listings.asked(call.query, call.settings.max_bucket_listing)
    await rights.on_bucket(call, "READ")
    items = await call.listing(call.bucket, wanted.query())
    return answers.document(await asyncio.to_thread(listings.view, call.bucket, wanted, items, call.user))


async def put(call: Call) -> Response:
    _check_location(call, await call.document(LARGEST))
    headers = {name: value for name, value in call.swift_headers().items() if name.startswith("x-")}
    if call.settings.s3_acl:
        if not await call.owns_account():
            raise S3Error("AccessDenied")
        found = grants.of_headers(call.headers, call.user, call.user) or grants.canned("private", call.user, call.user)
        headers[f"{SYSTEM_BUCKET}acl"] = grants.kept(found)
    elif "x-amz-acl" in call.headers:
        headers |= grants.lists(call.headers["x-amz-acl"])
    # Looked at first, for a PUT would change what is there.
    there = await call.ask("HEAD", call.bucket, free=True)
    if there.ok:
        if not await call.owns_account():
            raise S3Error("AccessDenied")  # who may not make buckets is not told which there are
        raise _is_there(call, there.headers.get(f"{SYSTEM_BUCKET}acl", ""))
    answer = await call.ask("PUT", call.bucket, headers=headers)
    if answer.status == 202:
        raise _is_there(call, "")
    if answer.status != 201:
        words = (await answer.read()).decode("utf-8", "replace")
        raise answers.error(call, "PUT", call.bucket, "", answer, words)
    return Response(200, {"location": f"/{call.bucket}"})


def _check_location(call: Call, data: bytes) -> None:
    if not data:
        return
    location = documents.parse(data, "").word("LocationConstraint")
    if location not in (call.settings.location, call.settings.location.lower()):
        raise S3Error("InvalidLocationConstraint")


def _is_there(call: Call, acl: str) -> S3Error:
    owner = grants.of_kept(acl).owner
    code = "BucketAlreadyOwnedByYou" if owner in (None, call.user) else "BucketAlreadyExists"
    return S3Error(code, BucketName=call.bucket)


async def delete(call: Call) -> Response:
    """With its uploads that nobody completed."""
    await rights.on_bucket(call, rights.OWNER)
    try:
        about = await call.bucket_headers()
        if int(about.get("x-container-object-count", "0")):
            raise _not_empty(about.get(VERSIONS, ""))
        answer = await call.do("DELETE", call.bucket)
    except S3Error as error:
        if error.code == "NoSuchBucket":  # maybe a deletion before was cut off
            await _forget_uploads(call)
        raise
    await _forget_uploads(call)
    return Response(204, answers.translated(answer.headers))


def _not_empty(versions: str) -> S3Error:
    if not versions:
        return S3Error("BucketNotEmpty")
    words = "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
    return S3Error("BucketNotEmpty", words)


async def _forget_uploads(call: Call) -> None:
    container = multipart.container(call.bucket)
    if not call.settings.allow_multipart_uploads:
        return
    async for each in call.all(container, {}):
        answer = await call.ask("DELETE", container, each["name"])
        if not answer.ok and answer.status != 404:
            raise S3Error("ServiceUnavailable")
    answer = await call.ask("DELETE", container)
    if not answer.ok and answer.status != 404:
        raise S3Error("ServiceUnavailable")


async def location(call: Call) -> Response:
    await rights.on_bucket(call, "READ")
    await call.do("HEAD", call.bucket)
    said = call.settings.location
    inside = "" if said == "us-east-1" else documents.text(said)
    return answers.document(documents.document("LocationConstraint", [inside]))


async def get_logging(call: Call) -> Response:
    if call.key:
        raise S3Error("NoLoggingStatusForKey")
    await rights.on_bucket(call, "READ")
    await call.do("HEAD", call.bucket)
    return answers.document(documents.document("BucketLoggingStatus", []))


async def put_logging(call: Call) -> Response:
    if call.key:
        raise S3Error("NoLoggingStatusForKey")
    raise unsupported("Not implemented.")


async def get_versioning(call: Call) -> Response:
    await rights.on_bucket(call, "READ")
    await call.do("HEAD", call.bucket)
    said = (await call.bucket_headers()).get(VERSIONS, "")
    parts = [leaf("Status", "Enabled" if said.lower() in listings.TRUE else "Suspended")] if said else []
    return answers.document(documents.document("VersioningConfiguration", parts))


async def put_versioning(call: Call) -> Response:
    if "object_versioning" not in call.features:
        raise unsupported("Not implemented.")
    root = documents.parse(await call.document(LARGEST), "VersioningConfiguration")
    status = root.word("Status")
    if status not in ("Enabled", "Suspended"):
        raise S3Error("MalformedXML")
    await rights.on_bucket(call, "WRITE")
    await call.do("POST", call.bucket, headers={"x-versions-enabled": "true" if status == "Enabled" else "false"})
    return Response(200)


async def get_object_lock(call: Call) -> Response:
    await rights.on_bucket(call, "READ")
    await call.do("HEAD", call.bucket)
    raise S3Error("ObjectLockConfigurationNotFoundError", BucketName=call.bucket)


async def not_there(call: Call) -> Response:
    raise unsupported()
