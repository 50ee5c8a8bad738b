# SPDX-License-Identifier: Apache-2.0
"""What is kept of a bucket beside its objects: grants, tags, rules for browsers and for expiry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cumulet.services.object_store.api.message import Headers, Response
from cumulet.services.object_store.s3 import answers, cors, grants, lifecycle, policies, rights, tagging
from cumulet.services.object_store.s3.call import SYSTEM_BUCKET, TAGS, Call
from cumulet.services.object_store.s3.errors import S3Error, no_bucket, unsupported

TAGGING_LARGEST = 64 * 1024  # bytes of a document
LONGEST = 8000  # of what is kept in one header


class Config(NamedTuple):
    """A document that is kept as header `name`, at most `largest` bytes of it; `missing` is said where it is not."""

    name: str
    largest: int
    missing: str
    parse: Callable[[bytes], Any]
    kept: Callable[[Any], str]
    of_kept: Callable[[str], Any]
    view: Callable[[Any], bytes]


CORS = Config("cors", cors.LARGEST, "NoSuchCORSConfiguration", cors.parse, cors.kept, cors.of_kept, cors.view)
LIFECYCLE = Config(
    "lifecycle", lifecycle.LARGEST, "NoSuchLifecycleConfiguration", lifecycle.parse, lifecycle.kept,
    lifecycle.of_kept, lifecycle.view,
)  # fmt: skip
BUCKET_TAGS = Config(
    "tags", TAGGING_LARGEST, "NoSuchTagSet", lambda data: tagging.parse(data, "bucket"), tagging.kept,
    tagging.of_kept, tagging.view,
)  # fmt: skip


async def get(call: Call, config: Config) -> Response:
    await rights.on_bucket(call, rights.OWNER)
    await call.do("HEAD", call.bucket)
    said = await call.noted(config.name)
    if not said:
        raise S3Error(config.missing, BucketName=call.bucket)
    return answers.document(config.view(config.of_kept(said)))


async def put(call: Call, config: Config) -> Response:
    data = await _checked(call, config.largest)
    found = config.kept(config.parse(data))
    if len(found) > LONGEST:
        raise S3Error("InvalidRequest", f"What is kept of a bucket may not be longer than {LONGEST} bytes")
    await rights.on_bucket(call, rights.OWNER)
    await call.note(**{config.name: found})
    return Response(204 if config is BUCKET_TAGS else 200)


async def delete(call: Call, config: Config) -> Response:
    await rights.on_bucket(call, rights.OWNER)
    await call.note(**{config.name: ""})
    return Response(204)


async def _checked(call: Call, most: int) -> bytes:
    data = await call.document(most)
    if not data:
        raise S3Error("MissingRequestBodyError")
    call.check_md5(data)
    return data


# Grants


async def get_acl(call: Call) -> Response:
    if call.settings.s3_acl:
        if call.key:
            about = await call.do("HEAD", call.bucket, call.key, query=call.version_query())
            rights.on_object(call, about.headers, "READ_ACP")
            return answers.document(grants.view(rights.of_object(about.headers)))
        await rights.on_bucket(call, "READ_ACP")
        return answers.document(grants.view(await call.bucket_grants()))
    about = await call.do("HEAD", call.bucket, call.key, query=call.version_query())
    return answers.document(grants.view(grants.of_lists(call.user, about.headers)))


async def put_acl(call: Call) -> Response:
    data = await call.document(grants.LARGEST)
    if call.settings.s3_acl:
        await _put_grants(call, data)
        return Response(200)
    if call.key:
        raise S3Error("NotImplemented")
    name = call.headers.get("x-amz-acl", "")
    if name and data:
        raise S3Error("UnexpectedContent")
    if not name and not data:
        raise S3Error("MissingSecurityHeader", MissingHeaderName="x-amz-acl")
    headers = grants.lists(name) if name else grants.lists_of_document(data)
    await call.do("POST", call.bucket, headers=headers)
    return Response(200, {"location": call.bucket})


async def _put_grants(call: Call, data: bytes) -> None:
    bucket = await call.bucket_grants()
    known, about = bucket, None
    if call.key:
        about = await call.do("HEAD", call.bucket, call.key)
        rights.on_object(call, about.headers, "WRITE_ACP")
        known = rights.of_object(about.headers)
    else:
        await rights.on_bucket(call, "WRITE_ACP")
    owner = known.owner or call.user
    found = grants.of_headers(call.headers, bucket.owner or owner, owner)
    if found is None and not data:
        raise S3Error("MissingSecurityHeader", MissingHeaderName="x-amz-acl")
    if found is not None and data:
        raise S3Error("UnexpectedContent")
    if found is None:
        found = grants.of_document(data)
        if known.owner is not None and found.owner != known.owner:
            raise S3Error("AccessDenied")
    if about is None:
        await call.do("POST", call.bucket, headers={f"{SYSTEM_BUCKET}acl": grants.kept(found)})
    else:
        await repost(call, about.headers, {rights.ACL: grants.kept(found)})


async def repost(call: Call, known: Headers, changes: Headers) -> None:
    """Change some of what a POST would replace all of; `known` are the object's headers."""
    if call.version is not None:
        raise unsupported("Tags and grants of single versions cannot be changed.")
    kept = ("x-object-meta-", "x-object-transient-sysmeta-")
    named = ("content-encoding", "content-disposition", "content-language", "cache-control", "expires", "x-delete-at",
             "x-robots-tag", "x-object-manifest")  # fmt: skip
    headers = {name: value for name, value in known.items() if name.startswith(kept) or name in named}
    headers = {name: value for name, value in (headers | changes).items() if value}
    await call.do("POST", call.bucket, call.key, headers=headers)


# Tags of objects


async def get_tags(call: Call) -> Response:
    about = await call.do("HEAD", call.bucket, call.key, query=call.version_query())
    rights.on_object(call, about.headers, "READ")
    return answers.document(tagging.view(tagging.of_kept(about.headers.get(TAGS, ""))))


async def put_tags(call: Call) -> Response:
    tags = tagging.parse(await _checked(call, TAGGING_LARGEST), "object")
    await _change_tags(call, tagging.kept(tags))
    return Response(200)


async def delete_tags(call: Call) -> Response:
    await _change_tags(call, "")
    return Response(204)


async def _change_tags(call: Call, kept: str) -> None:
    await rights.on_bucket(call, "WRITE")
    about = await call.do("HEAD", call.bucket, call.key, query=call.version_query())
    await repost(call, about.headers, {TAGS: kept})


# Policies


async def get_policy(call: Call) -> Response:
    await rights.on_bucket(call, rights.OWNER)
    await call.do("HEAD", call.bucket)
    said = await call.noted("policy")
    if not said:
        raise S3Error("NoSuchBucketPolicy", BucketName=call.bucket)
    return Response(200, {"content-type": "application/json"}, said.encode("latin-1"))


async def put_policy(call: Call) -> Response:
    if call.settings.s3_acl:
        raise S3Error("NotImplemented", "Policies do not go together with grants of buckets and objects.")
    found = policies.parse(await _checked(call, policies.LARGEST), call.bucket)
    headers: Headers = {f"{SYSTEM_BUCKET}policy": found.kept, "x-container-read": found.read}
    await call.do("POST", call.bucket, headers=headers)
    return Response(204)


async def delete_policy(call: Call) -> Response:
    await rights.on_bucket(call, rights.OWNER)
    about = await call.ask("HEAD", call.bucket, free=True)
    if about.status == 404:
        raise no_bucket(call.bucket)
    headers: Headers = {f"{SYSTEM_BUCKET}policy": ""}
    if about.headers.get(f"{SYSTEM_BUCKET}policy"):
        headers["x-container-read"] = ""
    await call.do("POST", call.bucket, headers=headers)
    return Response(204)


def match(rules: Sequence[cors.Rule], call: Call, origin: str) -> Headers:
    """What a browser is told of the answer to its page's request."""
    rule = cors.match(rules, origin, call.method)
    return {} if rule is None else cors.told(rule, origin)
