# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts: begun, filled, listed, completed and given up."""

from __future__ import annotations

import asyncio

from cumulet.services.object_store.api.filters.static_uploads import HOOK, Hook
from cumulet.services.object_store.api.message import Body, Headers, Response, quoted
from cumulet.services.object_store.logic.reports import Trouble
from cumulet.services.object_store.logic.segments import Entry
from cumulet.services.object_store.s3 import answers, copies, documents, listings, multipart, objects, rights, tagging
from cumulet.services.object_store.s3.call import ETAG, META, OVERRIDE_ETAG, SYSTEM_OBJECT, TAGS, UPLOAD_ID, Call
from cumulet.services.object_store.s3.documents import leaf
from cumulet.services.object_store.s3.errors import S3Error, argument

HAS_TYPE, TYPE = f"{SYSTEM_OBJECT}has-content-type", f"{SYSTEM_OBJECT}content-type"
_KEPT = ("content-encoding", "content-language", "content-disposition", "expires", "cache-control")


async def initiate(call: Call) -> Response:
    _check_key(call)
    await call.bucket_headers()
    upload = multipart.new_id()
    headers = await objects.upload_headers(call)
    if "content-type" in call.headers:
        headers |= {HAS_TYPE: "yes", TYPE: headers["content-type"]}
    else:
        headers[HAS_TYPE] = "no"
    for name in ("x-delete-at", "x-delete-after", "etag", objects.RULE):
        headers.pop(name, None)
    headers["content-type"] = "application/directory"
    await _make_container(call)
    name = f"{call.key}/{upload}"
    await call.do("PUT", multipart.container(call.bucket), name, headers=headers, body=Body.of(b""))
    parts = [leaf("Bucket", call.bucket), leaf("Key", call.key), leaf("UploadId", upload)]
    return answers.document(documents.document("InitiateMultipartUploadResult", parts))


async def _make_container(call: Call) -> None:
    """For uploads: with the policy and the lists of the bucket."""
    container = multipart.container(call.bucket)
    if (await call.ask("HEAD", container, free=True)).ok:
        return
    about = await call.bucket_headers()
    names = ("x-storage-policy", "x-container-read", "x-container-write")
    answer = await call.ask("PUT", container, headers={name: about[name] for name in names if about.get(name)})
    if answer.status not in (201, 202):
        raise answers.error(call, "PUT", container, "", answer, "")


async def upload_part(call: Call) -> Response:
    _check_key(call)
    if "uploadId" not in call.query:
        raise argument("ResourceType", "partNumber", "Unexpected query string parameter")
    number = listings.part_number(call.query, call.settings.max_upload_part_num, ranged="range" in call.headers)
    await rights.on_bucket(call, "WRITE")
    upload, _, _ = await _begun(call)
    source = await copies.source(call)
    container, name = multipart.container(call.bucket), f"{call.key}/{upload}/{number}"
    headers = {name: value for name, value in call.swift_headers().items() if not name.startswith(META)}
    headers.setdefault("content-type", "binary/octet-stream")
    if source is None:
        answer = await call.do("PUT", container, name, headers=headers, body=call.body)
        kept = answers.translated(answer.headers)
        kept.pop("content-type", None)
        return Response(200, kept)
    headers = {**copies.headers(call, source, headers), **copies.CLEARED}
    said = call.headers.get("x-amz-copy-source-range")
    if said is not None:
        headers["range"] = multipart.checked_range(said, source.size)
    query = {"version-id": source.version} if source.version else {}
    answer = await call.do("PUT", container, name, headers=headers, query=query)
    body = copies.view("CopyPartResult", answer.headers)
    return Response(200, {"content-type": answers.XML}, body)


async def list_uploads(call: Call) -> Response:
    if call.key:
        raise S3Error("InvalidRequest", "Key is not expected for the GET method ?uploads subresource")
    wanted = multipart.asked(call.query)
    await rights.on_bucket(call, "READ")
    await call.bucket_headers()
    found = multipart.Uploads(wanted)
    query = {} if wanted.prefix is None else {"prefix": wanted.prefix}
    async for each in call.all(multipart.container(call.bucket), query):
        found.add(each)
    return answers.document(found.view(call.bucket, call.user))


async def list_parts(call: Call) -> Response:
    _check_key(call)
    listings.encoding(call.query)
    await rights.on_bucket(call, "READ")
    upload, _, _ = await _begun(call)
    query = {"prefix": f"{call.key}/{upload}/", "delimiter": "/"}
    items = [each async for each in call.all(multipart.container(call.bucket), query) if "name" in each]
    names = (call.bucket, call.key, upload)
    return answers.document(multipart.parts_view(names, call.user, call.query, items, call.settings.max_parts_listing))


async def abort(call: Call) -> Response:
    _check_key(call)
    await rights.on_bucket(call, "WRITE")
    upload, _, is_marker = await _begun(call)
    container = multipart.container(call.bucket)
    if not is_marker:
        raise S3Error("NoSuchUpload", UploadId=upload)
    # What makes it an upload goes last, so that one that was cut off can be given up again; then once more for parts
    # that came meanwhile.
    await _forget_parts(call, upload)
    await call.do("DELETE", container, f"{call.key}/{upload}")
    await _forget_parts(call, upload)
    return Response(204)


async def _forget_parts(call: Call, upload: str) -> None:
    container = multipart.container(call.bucket)
    async for each in call.all(container, {"prefix": f"{call.key}/{upload}/"}):
        answer = await call.ask("DELETE", container, each["name"])
        if not answer.ok and answer.status != 404:
            raise S3Error("ServiceUnavailable")


async def complete(call: Call) -> Response:
    _check_key(call)
    _check_conditions(call)
    await rights.on_bucket(call, "WRITE")
    upload, known, is_marker = await _begun(call)
    data = await call.document(multipart.LARGEST)
    call.check_md5(data)
    parts = await asyncio.to_thread(multipart.parse, data, upload)
    etag = multipart.etag(parts)
    if not is_marker:
        if known.get(ETAG) != etag:
            raise S3Error("NoSuchUpload", UploadId=upload)
        return answers.document(_completed(call, etag))
    headers = await _headers(call, upload, known)
    headers |= {ETAG: etag, OVERRIDE_ETAG: f"; s3_etag={etag}"}
    if "if-none-match" in call.headers:
        headers["if-none-match"] = call.headers["if-none-match"]
    small = f"s3api requires that each segment be at least {call.settings.min_segment_size} bytes"
    manifest = Body.of(multipart.manifest(call.bucket, call.key, upload, parts))
    try:
        answer = await call.do(
            "PUT",
            call.bucket,
            call.key,
            headers=headers,
            query={"multipart-manifest": "put"},
            body=manifest,
            extra={HOOK: _sizes(call.settings.min_segment_size, small)},
        )
    except S3Error as error:
        if error.code == "InvalidRequest" and any(each in error.message for each in (small, "Too small; each segment")):
            raise S3Error("EntityTooSmall") from None
        if error.code == "InvalidRequest" and any(each in error.message for each in ("Etag Mismatch", "404 Not Found")):
            raise S3Error("InvalidPart", UploadId=upload) from None
        raise
    # What is complete stays so where this fails; it is then an upload that was completed with the same parts.
    await call.ask("DELETE", multipart.container(call.bucket), f"{call.key}/{upload}")
    found = answers.document(_completed(call, etag))
    told = answers.translated(answer.headers)
    found.headers |= {name: told[name] for name in ("x-amz-version-id", "x-amz-expiration") if name in told}
    return found


def _check_conditions(call: Call) -> None:
    said = call.headers
    others = any(name in said for name in ("if-match", "if-modified-since", "if-unmodified-since"))
    if others or said.get("if-none-match", "*") != "*":
        raise S3Error("NotImplemented", "Conditional uploads are not supported.")


def _sizes(least: int, words: str) -> Hook:
    """Tells of parts before the last one that are smaller."""

    def hook(entries: list[Entry]) -> list[Trouble]:
        return [(each["name"], words) for each in entries[:-1] if each["bytes"] < least]

    return hook


async def _headers(call: Call, upload: str, known: Headers) -> Headers:
    """Of the whole: what was said when it began."""
    kept = (META, "x-object-transient-sysmeta-")
    found = {name: value for name, value in known.items() if name in _KEPT or name.startswith(kept)}
    if call.encrypts:
        found[answers.CIPHER] = "AES256"
    if known.get(HAS_TYPE) == "yes":
        found["content-type"] = known.get(TYPE, "")
    elif HAS_TYPE not in known:
        found["content-type"] = known.get("content-type", "")
    tags = tagging.of_kept(known.get(TAGS, ""))
    return {**found, UPLOAD_ID: upload, "accept": "application/json", **await objects.end_headers(call, found, tags)}


def _completed(call: Call, etag: str) -> bytes:
    host = call.headers.get("host", "")
    place = f"{call.request.scheme}://{host}{quoted(call.request.path)}"
    parts = [leaf("Location", place), leaf("Bucket", call.bucket), leaf("Key", call.key), leaf("ETag", f'"{etag}"')]
    return documents.document("CompleteMultipartUploadResult", parts)


async def _begun(call: Call) -> tuple[str, Headers, bool]:
    """The upload's id, the headers of what stands for it, and whether that is an upload that is not complete."""
    await call.bucket_headers()
    upload = listings.word(call.query, "uploadId") or ""
    if upload and "/" not in upload:
        about = await call.ask("HEAD", multipart.container(call.bucket), f"{call.key}/{upload}")
        if about.ok:
            return upload, about.headers, True
        if about.status != 404:
            raise answers.error(call, "HEAD", multipart.container(call.bucket), call.key, about, "")
        whole = await call.ask("HEAD", call.bucket, call.key)
        if whole.ok and whole.headers.get(UPLOAD_ID) == upload:
            return upload, whole.headers, False
    raise S3Error("NoSuchUpload", UploadId=upload)


def _check_key(call: Call) -> None:
    if not call.key:
        raise S3Error("InvalidRequest", "A key must be specified")
    if len(call.key.encode()) > objects.LONGEST_KEY:
        raise S3Error("KeyTooLongError")
