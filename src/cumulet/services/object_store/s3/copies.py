# SPDX-License-Identifier: Apache-2.0
"""What an upload is copied from, where it is a copy."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote_to_bytes

import msgspec

from cumulet.services.object_store.api.message import Headers
from cumulet.services.object_store.s3 import answers, documents, rights, times
from cumulet.services.object_store.s3.call import CONDITIONS, ETAG, OVERRIDE_ETAG, UPLOAD_ID, Call
from cumulet.services.object_store.s3.documents import leaf
from cumulet.services.object_store.s3.errors import S3Error, argument

SOURCE = "x-amz-copy-source"
CLEARED: Headers = {
    ETAG: "",
    UPLOAD_ID: "",
    OVERRIDE_ETAG: "",
    "x-object-sysmeta-slo-etag": "",
    "x-object-sysmeta-slo-size": "",
}
_ON_SOURCE = "x-amz-copy-source-"
_DIRECTIVE = "x-amz-metadata-directive"
_OF_SOURCE = (
    "content-disposition", "content-encoding", "content-language", "content-type", "expires", "cache-control",
    "x-robots-tag",
)  # fmt: skip


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """An object, its version ("" for the newest) and its headers."""

    bucket: str
    key: str
    version: str = ""
    headers: Headers = {}

    @property
    def size(self) -> int:
        return int(self.headers.get("content-length", "0"))

    def copy_from(self) -> str:
        """For `X-Copy-From`."""
        return quote(f"/{self.bucket}/{self.key}")


def check(headers: Headers) -> None:
    """InvalidArgument for what is no source, or for nothing that is known to be done with its metadata."""
    said = headers.get(SOURCE)
    if said is not None and not all(_path(said)[0].removeprefix("/").partition("/")[::2]):
        words = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise argument(SOURCE, said, words)
    directive = headers.get(_DIRECTIVE)
    if directive not in (None, "COPY", "REPLACE"):
        raise argument(_DIRECTIVE, directive, "Unknown metadata directive.")


def _path(said: str) -> tuple[str, str]:
    """The path as text, and the query behind it."""
    path, _, query = said.partition("?")
    try:
        return unquote_to_bytes(path.encode("latin-1")).decode(), query
    except UnicodeError:
        return "", query


async def source(call: Call) -> Source | None:
    """The source, which is there and as the request's conditions want it; None for an upload that is no copy."""
    said = call.headers.get(SOURCE)
    if said is None:
        return None
    path, query = _path(said)
    pairs = parse_qsl(query, keep_blank_values=True)
    if pairs and [name for name, _ in pairs] != ["versionId"]:
        raise argument("X-Amz-Copy-Source", said, "Unsupported copy source parameter.")
    version = pairs[0][1] if pairs else ""
    bucket, _, key = path.removeprefix("/").partition("/")
    headers = {name: call.headers[_ON_SOURCE + name] for name in CONDITIONS if _ON_SOURCE + name in call.headers}
    asked = {"version-id": version} if version else {}
    about = await call.do("HEAD", bucket, key, headers=headers, query=asked, etags=(ETAG,))
    if about.status == 304:
        raise S3Error("PreconditionFailed")
    rights.on_object(call, about.headers, "READ")
    found = dict(about.headers)
    if about.length is not None:
        found["content-length"] = str(about.length)
    if (bucket, key) == (call.bucket, call.key) and not pairs and not replaces(call):
        words = (
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )
        raise S3Error("InvalidRequest", words)
    return Source(bucket=bucket, key=key, version=version, headers=found)


def replaces(call: Call) -> bool:
    """Whether the copy gets metadata of the request, and not those of the source."""
    return call.headers.get(_DIRECTIVE, "COPY") == "REPLACE"


def headers(call: Call, found: Source, own: Headers) -> Headers:
    """Of the request that copies; `own` are those of an upload that is no copy."""
    kept = {name: value for name, value in own.items() if name not in CONDITIONS or name == "if-none-match"}
    kept.pop("range", None)
    if replaces(call):
        kept["x-fresh-metadata"] = "true"
    else:
        kept = {
            name: value
            for name, value in kept.items()
            if name not in _OF_SOURCE and not name.startswith("x-object-meta-")
        }
    return {**kept, "x-copy-from": found.copy_from(), "content-length": "0"}


def view(tag: str, made: Headers) -> bytes:
    """What is said of the copy."""
    told = answers.translated(made)
    return documents.document(
        tag, [leaf("LastModified", times.of_header(made["last-modified"])), leaf("ETag", told.get("etag", ""))]
    )
