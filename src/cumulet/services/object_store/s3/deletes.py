# SPDX-License-Identifier: Apache-2.0
"""Deletions of many objects by one request."""

from __future__ import annotations

import asyncio

from cumulet.kernel.errors import CumuletError
from cumulet.services.object_store.api.message import Response
from cumulet.services.object_store.s3 import answers, documents, objects, rights
from cumulet.services.object_store.s3.call import Call
from cumulet.services.object_store.s3.checksums import HEADERS
from cumulet.services.object_store.s3.documents import element, leaf
from cumulet.services.object_store.s3.errors import S3Error, unsupported

LARGEST = 10 * 1024 * 1024  # bytes of the document, whatever the settings

Doomed = tuple[str, str | None]  # a key, and which version of it


async def delete_many(call: Call) -> Response:
    most = min(2 * call.settings.max_multi_delete_objects * objects.LONGEST_KEY, LARGEST)
    data = await call.document(most)
    if not data:
        raise S3Error("MissingRequestBodyError")
    if not any(name in call.headers for name in ("content-md5", *HEADERS, "x-amz-trailer")):
        words = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
        raise S3Error("InvalidRequest", words)
    call.check_md5(data)
    doomed, quiet = await asyncio.to_thread(_parse, data)
    if len(doomed) > call.settings.max_multi_delete_objects:
        raise S3Error("MalformedXML")
    if "object_versioning" not in call.features and any(version not in (None, "null") for _, version in doomed):
        raise unsupported("Not implemented.")
    try:
        await rights.on_bucket(call, "WRITE")
        await call.bucket_headers()
    except S3Error as error:
        if error.code != "AccessDenied":
            raise
        return answers.document(documents.document("DeleteResult", [_failed(each, error) for each in doomed]))
    turns = asyncio.Semaphore(call.settings.multi_delete_concurrency)

    async def one(each: Doomed) -> str:
        async with turns:
            return await _delete(call, each, quiet=quiet)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(each)) for each in doomed]
    return answers.document(documents.document("DeleteResult", [each.result() for each in tasks]))


def _parse(data: bytes) -> tuple[list[Doomed], bool]:
    root = documents.parse(data, "Delete")
    root.only("Quiet", "Object")
    quiet, found = root.one("Quiet"), root.all("Object")
    if not found:
        raise S3Error("MalformedXML")
    doomed: list[Doomed] = []
    for each in found:
        each.only("Key", "VersionId")
        key, version = each.word("Key"), each.one("VersionId")
        if not key:
            raise S3Error("UserKeyMustBeSpecified")
        doomed.append((key, None if version is None else version.text or None))
    return doomed, quiet is not None and quiet.text.lower() == "true"


async def _delete(call: Call, doomed: Doomed, *, quiet: bool) -> str:
    key, version = doomed
    try:
        told = await objects.remove(call, key, version)
    except S3Error as error:
        if error.code != "NoSuchKey":
            return _failed(doomed, error)
        told = {}
    except CumuletError as error:
        return _failed(doomed, S3Error("InternalError", error.message))
    if quiet:
        return ""
    parts = [leaf("Key", key)] + ([] if version is None else [leaf("VersionId", version)])
    if "x-amz-delete-marker" in told:
        parts += [leaf("DeleteMarker", "true"), leaf("DeleteMarkerVersionId", told["x-amz-version-id"])]
    return element("Deleted", *parts)


def _failed(doomed: Doomed, error: S3Error) -> str:
    key, version = doomed
    parts = [leaf("Key", key)] + ([] if version is None else [leaf("VersionId", version)])
    return element("Error", *parts, leaf("Code", error.code), leaf("Message", error.message))
