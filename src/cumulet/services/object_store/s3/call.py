# SPDX-License-Identifier: Apache-2.0
"""A request of S3 under way: what it has been found to be, and how it asks the store.

The store is asked by requests of Swift's API, so that large objects, versions, quotas and lists of containers are the
same through both.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Collection, Mapping
from email.header import Header
from hashlib import md5
from typing import Any
from urllib.parse import urlencode

import orjson

from cumulet.services.object_store.api import metadata
from cumulet.services.object_store.api.message import Body, Go, Headers, Request, Response, path_of, text, wire
from cumulet.services.object_store.engine.base import Engine
from cumulet.services.object_store.s3 import answers
from cumulet.services.object_store.s3.errors import S3Error, argument, no_bucket, unsupported
from cumulet.services.object_store.s3.grants import GrantList, of_kept
from cumulet.services.object_store.s3.settings import Settings
from cumulet.services.object_store.s3.who import Known
from cumulet.services.object_store.types.indexes import Key

META = "x-object-meta-"
SYSTEM_OBJECT, SYSTEM_BUCKET = "x-object-sysmeta-s3api-", "x-container-sysmeta-s3api-"
TAGS = "x-object-transient-sysmeta-s3api-tags"
ETAG = f"{SYSTEM_OBJECT}etag"
UPLOAD_ID = f"{SYSTEM_OBJECT}upload-id"
OVERRIDE_ETAG = "x-object-sysmeta-container-update-override-etag"
CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")

# What would make an object stand for another one, or is said of the request and not of the object.
_LEFT_OUT = frozenset(
    (
        "x-copy-from", "x-copy-from-account", "x-symlink-target", "x-symlink-target-account", "x-object-manifest",
        "x-static-large-object", "authorization", "content-md5", "content-length", "x-auth-token",
        "x-service-token", "x-storage-token", "destination", "destination-account", "x-fresh-metadata", "expect",
    )
)  # fmt: skip
_IGNORED = frozenset(' "),/;<=>?@[\\]{}')  # S3 overlooks metadata with these in their names


class Call:
    """`bucket` and `key` are text, "" for none. `user` is what S3 calls the caller; `account` is where the caller's
    buckets are. `features` are what Swift's API has at this site, by the names in `/info`, `encrypts`
    whether what is uploaded is encrypted."""

    def __init__(
        self,
        request: Request,
        go: Go,
        settings: Settings,
        known: Known,
        engine: Engine,
        features: Collection[str] = (),
    ) -> None:
        self.request, self._go, self.settings, self.features = request, go, settings, features
        self._engine = engine
        self.user, self.account, self._known = known.name, known.account, known
        self.method, self.headers, self.query = request.method, dict(request.headers), request.query
        self.bucket = self.key = ""
        self.encrypts = False
        self.body = request.body
        self._bucket_headers: Headers | None = None

    # What the request says

    def swift_headers(self) -> Headers:
        """The request's headers as Swift's API has them."""
        found: Headers = {}
        for name, value in self.headers.items():
            if name in _LEFT_OUT:
                continue
            if name.startswith("x-amz-meta-"):
                if not _IGNORED.isdisjoint(name):
                    continue
                found[META + name[11:].replace("_", "=5f")] = _printable(value)
            elif not name.startswith("x-amz-"):
                found[name] = value
        return found

    async def document(self, most: int) -> bytes:
        """The body, which is small; MalformedXML for a longer one."""
        encodings = [each.strip() for each in self.headers.get("transfer-encoding", "").split(",") if each.strip()]
        if encodings and encodings != ["chunked"]:
            words = "A header you provided implies functionality that is not implemented"
            raise S3Error("NotImplemented", words, Header="Transfer-Encoding")
        if self.body.size is not None and self.body.size > most:
            raise S3Error("MalformedXML")
        found = await self.body.read(most)
        if found is None:
            raise S3Error("MalformedXML")
        return found

    def check_md5(self, data: bytes) -> None:
        """BadDigest where the body is not what Content-MD5 says."""
        said = self.headers.get("content-md5")
        if said and said != base64.b64encode(md5(data, usedforsecurity=False).digest()).decode():
            raise S3Error("BadDigest", ExpectedDigest=said)

    @property
    def version(self) -> str | None:
        """Which version of the object is meant, None for the newest."""
        found = self.query.get("versionId")
        if found is not None and found != "null" and "object_versioning" not in self.features:
            raise unsupported("Not implemented.")
        if found is not None and not found.isprintable():  # it is told again in a header
            raise argument("versionId", found, "Invalid version id specified")
        return found

    def version_query(self) -> dict[str, str]:
        return {} if self.version is None else {"version-id": self.version}

    # Requests of Swift's API

    async def owns_account(self) -> bool:
        """Whether roles make the caller the owner of the account."""
        sub = self.request.sub("HEAD", path_of(self.account), source="S3")
        sub.caller, sub.authorize = self._known.caller, self._known.authorize
        return (await self._go(sub)).ok and sub.owner

    async def ask(
        self,
        method: str,
        bucket: str = "",
        key: str = "",
        *,
        headers: Headers | None = None,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        free: bool = False,
        etags: tuple[str, ...] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> Response:
        """The answer, whatever its status. `free`: it is asked for the store's own sake, whatever the caller may.

        AccessDenied for what the caller's key is not for at all.
        """
        words = urlencode({name: wire(value) for name, value in (query or {}).items()}, encoding="latin-1")
        path = path_of(self.account, bucket, key)
        if not free and not self._known.caller.may_ask(method, text(path)):
            raise S3Error("AccessDenied")
        sub = self.request.sub(method, path, headers=headers or {}, body=body, query=words, source="S3")
        sub.caller, sub.authorize, sub.etags = self._known.caller, self._known.authorize, etags
        sub.extra |= extra or {}
        if free or self.settings.s3_acl:
            sub.authorize, sub.owner = _anything, True
        return await self._go(sub)

    async def do(
        self,
        method: str,
        bucket: str = "",
        key: str = "",
        *,
        headers: Headers | None = None,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        free: bool = False,
        etags: tuple[str, ...] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> Response:
        """The answer, which is a success; else what S3 says of it is raised."""
        found = await self.ask(
            method, bucket, key, headers=headers, query=query, body=body, free=free, etags=etags, extra=extra
        )
        if found.status not in answers.successes(method, bucket, key):
            words = (await found.read()).decode("utf-8", "replace")
            raise await self._error(method, bucket, key, found, words)
        return found

    async def _error(self, method: str, bucket: str, key: str, found: Response, words: str) -> S3Error:
        if found.status == 404 and key and method in ("GET", "HEAD", "POST") and not bucket.endswith("+segments"):
            about = await self.ask("HEAD", bucket, free=True)
            if not about.ok:
                return no_bucket(bucket)
        return answers.error(self, method, bucket, key, found, words)

    async def listing(self, bucket: str, query: Mapping[str, str], *, free: bool = False) -> list[dict[str, Any]]:
        """Entries of a container, or of the account."""
        answer = await self.do("GET", bucket, query={"format": "json", **query}, free=free)
        body = await answer.read()
        found: list[dict[str, Any]] = orjson.loads(body) if body else []
        return found

    async def all(self, bucket: str, query: Mapping[str, str], *, free: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Entries of a container, up to its end; nothing where there is no container."""
        marker = query.get("marker", "")
        while True:
            try:
                found = await self.listing(bucket, {**query, "marker": marker}, free=free)
            except S3Error as error:
                if error.code != "NoSuchBucket":
                    raise
                return
            if not found:
                return
            for each in found:
                yield each
            marker = found[-1].get("name") or found[-1]["subdir"]

    async def bucket_headers(self) -> Headers:
        """Those of the container, whoever may read it; NoSuchBucket without one."""
        if self._bucket_headers is None:
            found = await self.ask("HEAD", self.bucket, free=True)
            if found.status == 404:
                raise no_bucket(self.bucket)
            if not found.ok:
                raise answers.error(self, "HEAD", self.bucket, "", found, "")
            self._bucket_headers = found.headers
        return self._bucket_headers

    async def bucket_grants(self) -> GrantList:
        return of_kept((await self.bucket_headers()).get(f"{SYSTEM_BUCKET}acl", ""))

    async def note(self, **system: str) -> None:
        """Keep this of the bucket, "" for nothing; names as `policy` for `x-container-sysmeta-s3api-policy`."""
        headers = {SYSTEM_BUCKET + name: value for name, value in system.items()}
        await self.do("POST", self.bucket, headers=headers)

    async def rules(self, name: str) -> str:
        """What is kept of the bucket, as this process knows it: what another has changed counts after seconds."""
        info = await self._engine.info(Key(self.account, self.bucket))
        return metadata.value(info, SYSTEM_BUCKET + name)

    async def noted(self, name: str) -> str:
        """What is kept of the bucket."""
        return (await self.bucket_headers()).get(SYSTEM_BUCKET + name, "")


async def _anything(request: Request) -> None:
    request.owner = True


def _printable(value: str) -> str:
    """As S3 keeps it: what is not ASCII as encoded words of mail."""
    if value.isascii() and all(each.isprintable() or each in "\t\n\r\x0b\x0c" for each in value):
        return value
    try:
        words = value.encode("latin-1").decode()
    except UnicodeError:
        words = value
    found = Header(words, "UTF-8").encode()
    for kind in ("q", "b"):
        found = found.replace(f"=?utf-8?{kind}?", f"=?UTF-8?{kind.upper()}?")
    return found.replace("\n", "")
