# SPDX-License-Identifier: Apache-2.0
"""Which handler answers a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

from cumulet.services.object_store.api.message import Response
from cumulet.services.object_store.s3 import buckets, configs, deletes, objects, uploads
from cumulet.services.object_store.s3.call import Call
from cumulet.services.object_store.s3.errors import S3Error, not_allowed, unsupported

Handler = Callable[[Call], Awaitable[Response]]


class Resource(NamedTuple):
    """By methods; `of_bucket`: a key does not count."""

    name: str
    handlers: Mapping[str, Handler]
    of_bucket: bool = False


def _config(name: str, config: configs.Config) -> Resource:
    handlers = {
        "GET": partial(configs.get, config=config),
        "PUT": partial(configs.put, config=config),
        "DELETE": partial(configs.delete, config=config),
    }
    return Resource(name, handlers, of_bucket=True)


# Of S3, and not there. Overlooked they would be taken for listings and objects.
UNSUPPORTED = frozenset(
    (
        "notification", "publicAccessBlock", "requestPayment", "torrent", "website", "restore", "accelerate",
        "analytics", "encryption", "intelligent-tiering", "inventory", "legal-hold", "metrics", "ownershipControls",
        "policyStatus", "replication", "retention", "select", "session",
    )
)  # fmt: skip
MULTIPART = frozenset(("partNumber", "uploadId", "uploads"))

SERVICE = Resource("SERVICE", {"GET": buckets.service})
BUCKET = Resource(
    "BUCKET",
    {
        "GET": buckets.get,
        "HEAD": buckets.head,
        "PUT": buckets.put,
        "DELETE": buckets.delete,
        "POST": buckets.not_there,
    },
)
OBJECT = Resource(
    "OBJECT",
    {
        "GET": objects.get,
        "HEAD": objects.get,
        "PUT": objects.put,
        "DELETE": objects.delete,
        "POST": objects.post,
    },
)
PART = Resource("PART", {"PUT": uploads.upload_part})
UPLOAD = Resource("UPLOAD", {"GET": uploads.list_parts, "POST": uploads.complete, "DELETE": uploads.abort})
ACL = Resource("ACL", {"GET": configs.get_acl, "PUT": configs.put_acl})
BUCKET_TAGS = _config("TAGGING", configs.BUCKET_TAGS)
OBJECT_TAGS = Resource("TAGGING", {"GET": configs.get_tags, "PUT": configs.put_tags, "DELETE": configs.delete_tags})

_NAMED: Mapping[str, Resource] = {
    "acl": ACL,
    "uploadId": UPLOAD,
    "delete": Resource("MULTI_OBJECT_DELETE", {"POST": deletes.delete_many}, of_bucket=True),
    "location": Resource("LOCATION", {"GET": buckets.location}, of_bucket=True),
    "logging": Resource("LOGGING_STATUS", {"GET": buckets.get_logging, "PUT": buckets.put_logging}),
    "uploads": Resource("UPLOADS", {"GET": uploads.list_uploads, "POST": uploads.initiate}),
    "versioning": Resource(
        "VERSIONING", {"GET": buckets.get_versioning, "PUT": buckets.put_versioning}, of_bucket=True
    ),
    "cors": _config("CORS", configs.CORS),
    "lifecycle": _config("LIFECYCLE", configs.LIFECYCLE),
    "policy": Resource(
        "POLICY",
        {"GET": configs.get_policy, "PUT": configs.put_policy, "DELETE": configs.delete_policy},
        of_bucket=True,
    ),
    "object-lock": Resource("OBJECT_LOCK", {"GET": buckets.get_object_lock, "PUT": buckets.not_there}, of_bucket=True),
}


# The first of them that the query names counts.
_ORDER = (
    "acl", "delete", "location", "logging", "partNumber", "uploadId", "uploads", "versioning", "tagging", "cors",
    "lifecycle", "policy", "object-lock",
)  # fmt: skip


def handler(call: Call) -> Handler:
    """What answers; MethodNotAllowed or NotImplemented where nothing does."""
    if not UNSUPPORTED.isdisjoint(call.query):
        raise unsupported()
    found = _resource(call)
    if found.of_bucket:
        call.key = ""
    way = found.handlers.get(call.method)
    if way is None:
        raise not_allowed(call.method, found.name)
    return way


def _resource(call: Call) -> Resource:
    query = call.query
    if not call.bucket:
        return SERVICE
    if not MULTIPART.isdisjoint(query) and not (call.settings.allow_multipart_uploads and "slo" in call.features):
        raise unsupported("Multi-part feature isn't support")
    for name in _ORDER:
        if name not in query:
            continue
        if name == "partNumber":
            return PART if call.method == "PUT" else _object(call)
        if name == "tagging":
            return OBJECT_TAGS if call.key else BUCKET_TAGS
        return _NAMED[name]
    return _object(call)


def _object(call: Call) -> Resource:
    if not call.key:
        return BUCKET
    if "attributes" in call.query:
        if call.method != "GET":
            raise S3Error("MethodNotAllowed", Method=call.method, ResourceType="OBJECT")
        return Resource("OBJECT", {"GET": objects.attributes})
    return OBJECT
