# SPDX-License-Identifier: Apache-2.0
"""Objects: their bodies and metadata."""

from __future__ import annotations

import math
import mimetypes

from cumulet.kernel.errors import CumuletError, Invalid, NotFound, Precondition, Unsupported
from cumulet.services.object_store.api import accounts, answers, downloads, metadata
from cumulet.services.object_store.api.message import Gone, Headers, Request, Response
from cumulet.services.object_store.api.rights import allow
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.engine.base import Name, Reading, Writing
from cumulet.services.object_store.logic import conditions, limits
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.indexes import Info, Key
from cumulet.services.object_store.types.objects import Kind, Update, Verdict, Version

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT")
EXPIRED_TOO = "x-open-expired"
OWN_TYPE = "object.own_type"  # what `Request.extra` has where a filter chose the media type
SYSTEM = "x-object-sysmeta-"


class WrongSum(CumuletError):
    """What came is not what was announced."""

    status = 422


class NoLength(CumuletError):
    status = 411


async def get(site: Site, request: Request) -> Response:
    name, _ = await _readable(site, request)
    reading = await site.engine.read(name, newest=request.is_true("x-newest"))
    if reading is None or _is_over(site, request, reading.version):
        if reading is not None:
            await reading.close()
        return await _absent(site, request, name)
    try:
        return await _download(request, reading)
    except BaseException:
        await reading.close()
        raise


async def head(site: Site, request: Request) -> Response:
    name, _ = await _readable(site, request)
    version = await site.engine.head(name, newest=request.is_true("x-newest"))
    if version is None or version.kind is not Kind.DATA or _is_over(site, request, version):
        return await _absent(site, request, name)
    headers = headers_of(version)
    refused = downloads.conditional(request, headers, _second(version))
    if refused is not None:
        return refused
    status, headers, spans = downloads.part(headers, version.size, downloads.wanted(request, headers))
    if status == 206 and len(spans) == 1:
        return Response(status, headers, length=spans[0][1] - spans[0][0])
    if not spans:
        return answers.refusal(416, headers=headers)
    return Response(200, headers_of(version), length=version.size)


async def put(site: Site, request: Request) -> Response:
    only_new = conditions.only_new(request.headers)
    name, _ = await _writable(site, request)
    _guess_type(request)
    size = _size(request)
    limits.check_name(site.limits, "object", request.parts[3])
    limits.check_upload(site.limits, request.headers, size)
    if not request.extra.get(OWN_TYPE):
        limits.check_type(request.headers["content-type"])
    delete_at = limits.expiry(request.headers, stamps.seconds(request.now())) or 0
    if only_new:
        there = await site.engine.head(name)
        if there is not None and there.kind is Kind.DATA and not there.is_expired(request.now()):
            raise Precondition("")
    async with await site.engine.write(name, size) as writing:
        await _receive(site, request, writing)
        etag = await writing.etag()
        said = conditions.bare(request.headers.get("etag", "")).lower()
        if said and said != etag:
            raise WrongSum("")
        version = objects.put(
            request.now(),
            writing.size,
            etag,
            request.headers["content-type"],
            metadata=metadata.of_object(request.headers),
            system=metadata.system(request.headers),
            delete_at=delete_at,
        )
        outcome = await writing.commit(version)
    headers = {"etag": etag, "last-modified": answers.date(version.stamp)}
    if outcome.verdict is Verdict.NEWER:
        return answers.refusal(202)
    return answers.refusal(201, headers=headers)


async def post(site: Site, request: Request) -> Response:
    name, _ = await _writable(site, request)
    limits.check_metadata(site.limits, request.headers, "object")
    delete_at = limits.expiry(request.headers, stamps.seconds(request.now())) or 0
    kind = request.headers.get("content-type")
    if kind and not limits.is_text(kind):
        raise Invalid("Invalid Content-Type")
    update = Update(
        stamp=request.now(),
        metadata=metadata.of_object(request.headers),
        delete_at=delete_at,
        content_type=kind or None,
    )
    outcome = await site.engine.post(name, update, expired_too=_may_open(site, request))
    if outcome.verdict is Verdict.MISSING:
        raise NotFound("")
    if outcome.verdict is Verdict.NEWER:
        return answers.refusal(409)
    found = outcome.now.system if outcome.now is not None else {}
    return answers.refusal(202, headers={name: found[name] for name in found if name.startswith(SYSTEM)})


async def delete(site: Site, request: Request) -> Response:
    name, _ = await _writable(site, request)
    outcome = await site.engine.remove(name, request.now(), if_delete_at=_due(request))
    if outcome.verdict is Verdict.MISMATCH:
        raise Precondition("X-If-Delete-At and X-Delete-At do not match")
    if outcome.verdict is Verdict.MISSING:
        raise NotFound("")
    if outcome.verdict is Verdict.NEWER:
        return answers.refusal(409)
    return answers.refusal(204)


def headers_of(version: Version) -> Headers:
    """Of an answer with all of the object, but for its length."""
    return {
        **metadata.of_version(version),
        "content-type": version.content_type,
        "etag": version.etag,
        "last-modified": answers.date(max(version.stamp, version.meta_stamp)),
        "x-timestamp": stamps.normal(max(version.stamp, version.meta_stamp)),
        "accept-ranges": "bytes",
    }


async def _download(request: Request, reading: Reading) -> Response:
    version = reading.version
    headers = headers_of(version)
    refused = downloads.conditional(request, headers, _second(version))
    if refused is not None:
        await reading.close()
        return refused
    status, headers, spans = downloads.part(headers, version.size, downloads.wanted(request, headers))
    if not spans:
        await reading.close()
        return answers.refusal(416, headers=headers)
    if reading.inline is not None and len(spans) == 1:
        await reading.close()
        return Response(status, headers, reading.inline[spans[0][0] : spans[0][1]])
    return downloads.send(status, headers, version.size, spans, reading.chunks, reading.close, reading.file())


async def _container(site: Site, request: Request) -> tuple[Name, Info | None]:
    account, container, name = request.names
    info = await site.engine.info(Key(account, container))
    if info is not None and await accounts.is_gone(site, account):
        info = None
    return Name(account, container, name, info.policy if info is not None else 0), info


async def _readable(site: Site, request: Request) -> tuple[Name, Info | None]:
    name, info = await _container(site, request)
    await allow(request, metadata.value(info, "x-container-read"))
    if info is None:
        raise NotFound("")
    return name, info


async def _writable(site: Site, request: Request) -> tuple[Name, Info | None]:
    name, info = await _container(site, request)
    await allow(request, metadata.value(info, "x-container-write"))
    if info is None or not info.exists:
        raise NotFound("")
    return name, info


async def _absent(site: Site, request: Request, name: Name) -> Response:
    """404, but for a request that wants the object to be there (412)."""
    if conditions.judge(request.headers, None, 0) == conditions.FAILED:
        raise Precondition("")
    raise NotFound("")


def _may_open(site: Site, request: Request) -> bool:
    return site.options.allow_open_expired and request.is_true(EXPIRED_TOO)


def _is_over(site: Site, request: Request, version: Version) -> bool:
    return version.is_expired(stamps.now()) and not _may_open(site, request)


def _second(version: Version) -> int:
    return math.ceil(stamps.seconds(max(version.stamp, version.meta_stamp)))


def _guess_type(request: Request) -> None:
    if request.is_true("x-detect-content-type") or not request.headers.get("content-type"):
        guessed, _ = mimetypes.guess_type(request.path)
        request.headers["content-type"] = guessed or "application/octet-stream"
        request.headers.pop("x-detect-content-type", None)


def _due(request: Request) -> int | None:
    """When the object that is to be deleted has to expire."""
    said = request.headers.get("x-if-delete-at")
    if said is None:
        return None
    try:
        return int(said)
    except ValueError:
        raise Invalid("Bad X-If-Delete-At header value") from None


def _size(request: Request) -> int | None:
    """Of the body that is to come."""
    size, coding = request.body.size, request.headers.get("transfer-encoding")
    if coding is not None and coding.lower() != "chunked":
        raise Unsupported("Unsupported Transfer-Coding header value specified in Transfer-Encoding header")
    if size is None and coding is None:
        raise NoLength("Missing Content-Length header.")
    return size


async def _receive(site: Site, request: Request, writing: Writing) -> None:
    async for piece in request.body:
        if writing.size + len(piece) > site.limits.max_file_size:
            raise limits.too_large()
        await writing.write(piece)
    if request.body.size is not None and writing.size != request.body.size:
        raise Gone("the client sent less than it had said")
