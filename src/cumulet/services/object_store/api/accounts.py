# SPDX-License-Identifier: Apache-2.0
"""Accounts: counts, metadata and the list of their containers."""

from __future__ import annotations

from cumulet.kernel.errors import Forbidden, Gone, Invalid, NotAllowed, NotFound
from cumulet.services.object_store.api import answers, metadata
from cumulet.services.object_store.api.message import Headers, Request, Response, wire
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.logic import limits, listings, media
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import IndexState, Info, Key, ListedContainer, MetadataLimits

SEEN = "account.seen"  # what `Request.extra` has for whoever wants to change the entries of a listing
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT")
ACL = "x-account-sysmeta-core-access-control"


async def get(site: Site, request: Request) -> Response:
    key = _key(site, request)
    form = media.of_listing(request.query, request.headers)
    listing = listings.asked(request.query, site.limits.account_listing_limit)
    if request.reserved:
        listing = listings.with_reserved(listing)
    entries: list[ListedContainer] = []
    try:
        info, entries = await site.engine.list_containers(key, listing, newest=request.is_true("x-newest"))
    except NotFound:
        info = await _absent(site, request, key)
    seen = request.extra.get(SEEN)
    if seen is not None:
        entries = await seen(listing, entries)
    headers = _headers(site, request, info)
    names = {each.number: each.name for each in site.engine.policies}
    return answers.listing(form, headers, listings.of_account(form, key.account, entries, names))


async def head(site: Site, request: Request) -> Response:
    key = _key(site, request)
    form = media.of_listing(request.query, request.headers)
    info = await site.engine.info(key, newest=True)
    if info is None or not info.exists:
        info = await _absent(site, request, key)
    return answers.listing(form, _headers(site, request, info), b"", status=204)


async def put(site: Site, request: Request) -> Response:
    """Make an account, or change the metadata of one."""
    if not site.options.allow_account_management:
        raise NotAllowed("", headers={"Allow": ", ".join(METHODS)})
    limits.check_metadata(site.limits, request.headers, "account")
    key = _key(site, request)
    try:
        placed = await site.engine.put(
            key, request.now(), metadata=metadata.asked(request, "account"), limits=index_limits(site)
        )
    except Forbidden:
        return answers.refusal(403, "Recently deleted")
    return answers.refusal(201 if placed.created else 202)


async def post(site: Site, request: Request) -> Response:
    """Change metadata; an account that is not there is made."""
    key = _key(site, request)
    limits.check_metadata(site.limits, request.headers, "account")
    asked = metadata.asked(request, "account")
    try:
        await site.engine.set_metadata(key, request.now(), asked, index_limits(site))
    except NotFound:
        if not site.options.account_autocreate:
            raise NotFound("") from None
        await make(site, request, key, {})
        await site.engine.set_metadata(key, request.now(), asked, index_limits(site))
    return answers.refusal(204)


async def delete(site: Site, request: Request) -> Response:
    if request.query_string:
        raise Invalid("")
    if not site.options.allow_account_management:
        raise NotAllowed("", headers={"Allow": ", ".join(METHODS)})
    if not await site.engine.delete(_key(site, request), request.now()):
        raise NotFound("")
    return answers.refusal(204)


async def make(site: Site, request: Request, key: Key, said: Headers) -> None:
    """Make the account that a request needs. Forbidden for one that was deleted of late."""
    await site.engine.put(key, request.now(), metadata=said)


async def is_gone(site: Site, account: str) -> bool:
    """Whether it was deleted: what is in it is then not there any more for anybody."""
    try:
        known = await site.engine.info(Key(account))
    except Unavailable:
        return False
    return known is not None and not known.exists


def index_limits(site: Site) -> MetadataLimits:
    return MetadataLimits(items=site.limits.max_meta_count, bytes=site.limits.max_meta_overall_size)


def _key(site: Site, request: Request) -> Key:
    limits.check_name(site.limits, "account", request.parts[1])
    return Key(request.names[0])


async def _absent(site: Site, request: Request, key: Key) -> Info:
    """As an account looks that will be made when something is put into it."""
    known = await site.engine.info(key)
    if known is not None and not known.exists:
        raise Gone("", headers={"x-account-status": "Deleted"})
    if not site.options.account_autocreate:
        raise NotFound("")
    return Info(key=key, state=IndexState(created=request.now(), put=request.now()))


def _headers(site: Site, request: Request, info: Info) -> Headers:
    total = info.total
    found = {
        "x-account-container-count": str(total.containers),
        "x-account-object-count": str(total.objects),
        "x-account-bytes-used": str(total.bytes),
        "x-timestamp": stamps.normal(info.state.created),
        "x-put-timestamp": stamps.normal(info.state.put),
    }
    for policy in site.engine.policies:
        if (count := info.counts.get(policy.number)) is not None:
            prefix = f"x-account-storage-policy-{wire(policy.name).lower()}"
            found[f"{prefix}-container-count"] = str(count.containers)
            found[f"{prefix}-object-count"] = str(count.objects)
            found[f"{prefix}-bytes-used"] = str(count.bytes)
    found |= metadata.shown(info)
    if (acl := found.pop(ACL, "")) and acl != "{}":
        found["x-account-access-control"] = acl
    return metadata.for_caller(found, request, site.options)
