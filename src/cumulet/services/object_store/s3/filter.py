# SPDX-License-Identifier: Apache-2.0
"""The S3 API: what is signed as S3 wants it is answered here, all else goes on to Swift's API."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import CumuletError
from cumulet.services.object_store.api.message import Body, Go, Gone, Headers, Request, Response
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.s3 import (
    checksums,
    configs,
    cors,
    documents,
    headers,
    naming,
    payloads,
    routes,
    settings,
    signatures,
)
from cumulet.services.object_store.s3.asked import Asked
from cumulet.services.object_store.s3.call import Call
from cumulet.services.object_store.s3.chunks import Chain
from cumulet.services.object_store.s3.errors import S3Error
from cumulet.services.object_store.s3.who import Finder

LOG = logging.getLogger("cumulet.objects.s3")

HTML = "text/html; charset=UTF-8"  # of what has no body, as Swift has it
METHODS = "GET, HEAD, PUT, POST, DELETE, OPTIONS"


class S3Api:
    """A filter of the pipeline; `tell` is called with the `info` of all filters before the first request."""

    def __init__(self, site: Site) -> None:
        self._finder, self._engine = Finder(site), site.engine
        self._settings = settings.of(site.options.of("s3api"))
        self._features: frozenset[str] = frozenset()
        disabled = site.options.of("encryption").get("disable_encryption", False)
        self._encrypts = site.options.has("encryption") and not disabled

    @property
    def info(self) -> Mapping[str, Any]:
        said = self._settings
        return {
            "s3api": {
                "max_bucket_listing": said.max_bucket_listing,
                "max_parts_listing": said.max_parts_listing,
                "max_upload_part_num": said.max_upload_part_num,
                "max_multi_delete_objects": said.max_multi_delete_objects,
                "allow_multipart_uploads": said.allow_multipart_uploads,
                "min_segment_size": said.min_segment_size,
                "s3_acl": said.s3_acl,
            }
        }

    def tell(self, features: frozenset[str]) -> None:
        """Which features of Swift's API there are, by their names in `/info`."""
        self._features = features

    async def __call__(self, request: Request, go: Go) -> Response:
        asked = Asked(request.method, request.path, request.headers, request.query_string, request.raw_path)
        if request.method == "OPTIONS" and request.headers.get("origin"):
            answer = await self._preflight(request, asked, go)
            if answer is not None:
                return answer
        if not signatures.is_signed(asked):
            return await go(request)
        try:
            answer = await self._answer(request, asked, go)
        except S3Error as error:
            answer = _refused(request, error)
        except CumuletError as error:
            answer = _refused(request, _unavailable(error))
        except Gone:
            raise
        except Exception:
            LOG.exception("%s %s failed", request.method, request.path, extra={"request_id": request.id})
            answer = _refused(request, S3Error("InternalError"))
        if answer.status != 304:
            answer.headers.setdefault("content-type", HTML)
        answer.headers["x-amz-id-2"] = answer.headers["x-amz-request-id"] = request.id
        return answer

    async def _answer(self, request: Request, asked: Asked, go: Go) -> Response:
        call = await self._opened(request, asked, go)
        answer = await routes.handler(call)(call)
        origin = request.headers.get("origin")
        if origin and call.bucket:
            answer.headers |= await self._for_browser(call, origin)
        return answer

    async def _for_browser(self, call: Call, origin: str) -> Headers:
        return configs.match(cors.of_kept(await call.rules("cors")), call, origin)

    async def _opened(self, request: Request, asked: Asked, go: Go) -> Call:
        """Who asks for what, proven. Refusals come in the order in which Swift's s3api has them."""
        said = self._settings
        claim = signatures.claimed(asked, said, clock.now())
        in_host = naming.bucket_of(request.headers.get("host", ""), said.storage_domains)
        bucket, key = naming.split(request.path, in_host, dns_compliant=said.dns_compliant_bucket_names)
        headers.check(request.method, request.headers, encrypts=self._encrypts)
        payload = payloads.of(request.headers, claim, request.body.size)
        etag = headers.etag(request.headers)
        claim = signatures.completed(claim, asked, in_host)
        wanted = checksums.wanted(request.headers) if request.method in ("PUT", "POST") else None
        known = await self._finder.find(claim.access)
        if known is None:
            raise S3Error("InvalidAccessKeyId", AWSAccessKeyId=claim.access)
        if not claim.holds(known.secret):
            raise claim.mismatch()
        request.caller = known.caller
        call = Call(request, go, said, known, self._engine, self._features)
        call.bucket, call.key, call.encrypts = bucket, key, self._encrypts
        if etag is not None:
            call.headers["etag"] = etag
        if request.method in ("PUT", "POST"):
            if request.method == "POST" and "delete" not in request.query:
                wanted = None  # as S3, which does not look at it there
            chain = Chain(claim, known.secret) if payload.streaming and not payload.void else None
            call.body = Body(payloads.decoded(payload, aiter(request.body), wanted, chain), payload.size)
            if request.body.size == 0:  # what is said of nothing is judged though nobody may read it
                await call.body.read(0)
                call.body = Body.of(b"")
            if payload.streaming and (encoding := payloads.encoding(call.headers.pop("content-encoding", ""))):
                call.headers["content-encoding"] = encoding
        return call

    async def _preflight(self, request: Request, asked: Asked, go: Go) -> Response | None:
        """What a browser asks before its page's request; None where it does not ask about S3."""
        wanted = cors.asked_headers(request.headers)
        origin = request.headers["origin"]
        by_query = "AWSAccessKeyId" in asked.query or "X-Amz-Credential" in asked.query
        if by_query and (found := await self._by_rules(request, asked, go, origin, wanted)):
            return Response(200, found)
        if not by_query and ("authorization" not in wanted or request.path.startswith(("/v1/", "/v1.0/"))):
            return None
        allowed = self._settings.cors_preflight_allow_origin
        if not allowed:
            return None
        if allowed != ("*",) and origin not in allowed:
            return Response(401, {"allow": METHODS})
        told = {
            "allow": METHODS,
            "access-control-allow-origin": origin,
            "access-control-allow-methods": METHODS,
            "vary": "Origin, Access-Control-Request-Headers",
        }
        if wanted:
            told["access-control-allow-headers"] = ", ".join(sorted(set(wanted)))
        return Response(200, told)

    async def _by_rules(self, request: Request, asked: Asked, go: Go, origin: str, wanted: list[str]) -> Headers | None:
        """By the rules of the bucket, which the access key in the query finds."""
        credential = asked.query.get("X-Amz-Credential", "").partition("/")[0]
        known = await self._finder.find(credential or asked.query.get("AWSAccessKeyId", ""))
        if known is None:
            return None
        call = Call(request, go, self._settings, known, self._engine, self._features)
        in_host = naming.bucket_of(request.headers.get("host", ""), self._settings.storage_domains)
        try:
            call.bucket, call.key = naming.split(request.path, in_host)
            rules = cors.of_kept(await call.rules("cors")) if call.bucket else ()
        except S3Error:
            return None
        method = request.headers.get("access-control-request-method", "")
        rule = cors.match(rules, origin, method, wanted)
        return None if rule is None else cors.told(rule, origin, asked=wanted, preflight=True)


def _refused(request: Request, error: S3Error) -> Response:
    request.log.append(f"s3:err:{error.code}")
    body = b"" if request.method == "HEAD" else documents.refusal(error, request.id)
    return Response(error.status, {**error.headers, "content-type": "application/xml"}, body)


def _unavailable(error: CumuletError) -> S3Error:
    if error.status == 503:
        return S3Error("ServiceUnavailable")
    if error.status in (401, 403):
        return S3Error("AccessDenied")
    if error.status == 404:
        return S3Error("InvalidRequest", error.message)
    return S3Error("InvalidRequest" if error.status < 500 else "InternalError", error.message)
