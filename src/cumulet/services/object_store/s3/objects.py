# SPDX-License-Identifier: Apache-2.0
"""Objects: uploads, copies, downloads, deletions."""

from __future__ import annotations

from cumulet.kernel import clock
from cumulet.services.object_store.api.message import Body, Headers, Response, wire
from cumulet.services.object_store.s3 import answers, copies, documents, lifecycle, listings, rights, tagging
from cumulet.services.object_store.s3.call import CONDITIONS, ETAG, SYSTEM_OBJECT, TAGS, Call
from cumulet.services.object_store.s3.documents import leaf
from cumulet.services.object_store.s3.errors import S3Error, argument, unsupported

LONGEST_KEY = 1024  # bytes
RULE = f"{SYSTEM_OBJECT}rule"
_CONTROL = frozenset(map(chr, (*range(9), *range(10, 32), 127)))  # what no header may hold
_SAID = ("content-type", "content-language", "expires", "cache-control", "content-disposition", "content-encoding")


async def get(call: Call) -> Response:
    """GET or HEAD."""
    wanted = ("range", *CONDITIONS, "origin", "access-control-request-method")
    headers = {name: value for name, value in call.headers.items() if name in wanted}
    for name in ("if-match", "if-none-match"):
        if name in headers:
            headers[name] = _bare_tags(headers[name])
    most = call.settings.max_upload_part_num
    told = {name: call.query[f"response-{name}"] for name in _SAID if f"response-{name}" in call.query}
    for name, value in told.items():
        if not _CONTROL.isdisjoint(value):
            raise argument(f"response-{name}", value)
    number = listings.part_number(call.query, most, ranged="range" in headers, bounded=False)
    query = call.version_query()
    if number is not None:
        query["part-number"] = str(number)
    await _check_versions(call)
    answer = await call.do(call.method, call.bucket, call.key, headers=headers, query=query, etags=(ETAG,))
    answer = await rights.readable(call, call.key, answer)
    kept = answers.translated(answer.headers)
    if number is not None and not answers.is_large(answer.headers):
        await _whole_part(call, answer, kept)
    answer.headers = kept | told
    return answer


def _bare_tags(said: str) -> str:
    """With the MD5 of a large object beside the ETag that is made up for it."""
    more = [each.strip().strip('"')[:-2] for each in said.split(",") if each.strip().strip('"').endswith("-N")]
    return ", ".join([said, *more])


async def _check_versions(call: Call) -> None:
    """NoSuchVersion in a bucket that never had any."""
    if call.version not in (None, "null") and not await _had_versions(call):
        raise S3Error("NoSuchVersion", Key=call.key, VersionId=call.version)


async def _had_versions(call: Call) -> bool:
    return bool((await call.bucket_headers()).get("x-container-sysmeta-versions-container"))


async def _whole_part(call: Call, answer: Response, kept: Headers) -> None:
    """An object that has no parts is its own first."""
    try:
        listings.part_number(call.query, call.settings.max_upload_part_num, 1)
    except S3Error:
        await answer.close()
        raise
    size = answer.length if answer.pieces is not None or answer.length is not None else len(answer.body)
    if answer.status == 200 and size:
        answer.status = 206
        kept["content-range"] = f"bytes 0-{size - 1}/{size}"


async def put(call: Call) -> Response:
    _check_key(call.key)
    if copies.SOURCE in call.headers and "x-amz-copy-source-range" in call.headers:
        words = "Illegal copy header"
        raise argument("x-amz-copy-source-range", call.headers["x-amz-copy-source-range"], words)
    own = await upload_headers(call)
    source = await copies.source(call)
    if source is None:
        answer = await call.do("PUT", call.bucket, call.key, headers=own, body=call.body)
        kept = answers.translated(answer.headers)
        kept.pop("content-type", None)
        return Response(200, kept)
    headers = copies.headers(call, source, own)
    if call.headers.get("x-amz-tagging-directive", "COPY") == "COPY":
        headers[TAGS] = source.headers.get(TAGS, "")
    if source.headers.get(RULE):
        headers.setdefault(RULE, "")
    if source.headers.get(answers.CIPHER):
        headers.setdefault(answers.CIPHER, "")
    if answers.is_large(source.headers):  # the copy is no upload in parts
        headers |= copies.CLEARED
    query = {"version-id": source.version} if source.version else {}
    answer = await call.do("PUT", call.bucket, call.key, headers=headers, query=query)
    told = answers.translated(answer.headers)
    kept = {name: value for name, value in told.items() if name.startswith("x-amz-") and "-meta-" not in name}
    return Response(200, {**kept, "content-type": answers.XML}, copies.view("CopyObjectResult", answer.headers))


def _check_key(key: str) -> None:
    if len(key.encode()) > LONGEST_KEY:
        raise S3Error("KeyTooLongError")


async def upload_headers(call: Call) -> Headers:
    """Headers of a new object: what the request says, its grants, its tags and its end."""
    found = call.swift_headers()
    for name in [name for name in found if name.startswith("x-container-")]:
        del found[name]
    if not found.get("content-type"):
        found["content-type"] = "binary/octet-stream"
    tags = tagging.of_header(call.headers["x-amz-tagging"]) if "x-amz-tagging" in call.headers else {}
    found |= await rights.for_upload(call)
    if call.encrypts:
        found[answers.CIPHER] = "AES256"
    if tags:
        found[TAGS] = tagging.kept(tags)
    return found | await end_headers(call, found, tags)


async def end_headers(call: Call, headers: Headers, tags: tagging.Tags) -> Headers:
    """When the object ends by the bucket's rules, unless its headers say that."""
    said = await call.rules("lifecycle")
    if not said or "x-delete-at" in headers or "x-delete-after" in headers:
        return {}
    found = lifecycle.end(lifecycle.of_kept(said), call.key, tags, clock.now())
    if found is None or found[0] <= clock.now():
        return {}
    return {"x-delete-at": str(found[0]), RULE: wire(found[1])}


async def post(call: Call) -> Response:
    raise unsupported("Not implemented.")


async def delete(call: Call) -> Response:
    await rights.on_bucket(call, "WRITE")
    try:
        return Response(204, await remove(call, call.key, call.version))
    except S3Error as error:
        if error.code != "NoSuchKey":
            raise
        await call.bucket_headers()
        return Response(204)


async def remove(call: Call, key: str, version: str | None) -> Headers:
    """Delete an object with its parts, or a version of it; NoSuchKey where there is none."""
    if version not in (None, "null") and not await _had_versions(call):
        return {"x-amz-version-id": version or ""}
    query = {} if version is None else {"version-id": version}
    query["symlink"] = "get"
    about = await call.ask("HEAD", call.bucket, key, query=query)
    if not about.ok and about.status != 404:
        raise answers.error(call, "HEAD", call.bucket, key, about, "")
    if about.ok and answers.is_large(about.headers):
        query["multipart-manifest"] = "delete"
        if about.headers.get(ETAG):
            query["async"] = "on"
    elif version is None:
        del query["symlink"]
    answer = await call.do("DELETE", call.bucket, key, query=query)
    if "multipart-manifest" in query and answer.status == 200:
        await answer.read()
    if answer.headers.get("x-object-current-version-id") == "null":
        await _restore(call, key)
    told = answers.translated({name: value for name, value in answer.headers.items() if name.startswith("x-object-v")})
    if version is None and "x-amz-version-id" in told:
        told["x-amz-delete-marker"] = "true"
    return told


async def _restore(call: Call, key: str) -> None:
    """What was the newest version but one is the newest again."""
    items = await call.listing(call.bucket, {"prefix": key, "versions": "true"})
    for each in items:
        if each.get("name") != key or each["content_type"] == listings.MARKER_TYPE:
            return
        try:
            await call.do("PUT", call.bucket, key, query={"version-id": each["version_id"]}, body=Body.of(b""))
        except S3Error as error:
            if error.code not in ("PreconditionFailed", "NoSuchBucket"):
                raise
        else:
            return


async def attributes(call: Call) -> Response:
    """What `GetObjectAttributes` tells, as far as the request names it."""
    wanted = {each.strip() for each in call.headers.get("x-amz-object-attributes", "").split(",") if each.strip()}
    if not wanted:
        raise S3Error("InvalidArgument", "Missing required header", ArgumentName="x-amz-object-attributes")
    await _check_versions(call)
    about = await call.do("HEAD", call.bucket, call.key, query=call.version_query())
    rights.on_object(call, about.headers, "READ")
    told = answers.translated(about.headers)
    parts = []
    if "ETag" in wanted:
        parts.append(leaf("ETag", told.get("etag", "").strip('"')))
    if "ObjectParts" in wanted and "x-amz-mp-parts-count" in told:
        parts.append(documents.element("ObjectParts", leaf("PartsCount", told["x-amz-mp-parts-count"])))
    if "StorageClass" in wanted:
        parts.append(leaf("StorageClass", listings.STANDARD))
    if "ObjectSize" in wanted:
        parts.append(leaf("ObjectSize", about.length))
    kept: Headers = {name: value for name, value in told.items() if name in ("last-modified", "x-amz-version-id")}
    kept["content-type"] = answers.XML
    return Response(200, kept, documents.document("GetObjectAttributesResponse", parts))
