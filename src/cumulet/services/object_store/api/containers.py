# SPDX-License-Identifier: Apache-2.0
"""Containers: counts, metadata and the list of their objects."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from cumulet.services.object_store.api import accounts, answers, metadata
from cumulet.services.object_store.api.message import Headers, Request, Response, quoted, wire
from cumulet.services.object_store.api.rights import allow
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.engine.base import Policy
from cumulet.services.object_store.engine.sharding.names import ENABLED
from cumulet.services.object_store.logic import acls, limits, listings, media, sync_realms
from cumulet.services.object_store.logic.sync_sending import Sync
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Info, Key

SEEN = "container.seen"  # what `Request.extra` has for whoever wants to see the entries of a listing
SHARDING = "x-container-sharding"
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT")


async def get(site: Site, request: Request) -> Response:
    form = media.of_listing(request.query, request.headers)
    listing = listings.asked(request.query, site.limits.container_listing_limit)
    if request.reserved:
        listing = listings.with_reserved(listing)
    key = _key(site, request)
    if await accounts.is_gone(site, key.account):
        raise await _missing(site, request, key)
    try:
        info, entries = await site.engine.list_objects(key, listing, newest=request.is_true("x-newest"))
    except NotFound:
        raise await _missing(site, request, key) from None
    await allow(request, metadata.value(info, "x-container-read"))
    seen = request.extra.get(SEEN)
    if seen is not None:
        seen(info, entries)
    body = listings.of_container(form, key.container, entries, f"/{request.parts[0]}/{quoted(request.parts[1])}")
    return answers.listing(form, _headers(site, request, info), body)


async def head(site: Site, request: Request) -> Response:
    form = media.of_listing(request.query, request.headers)
    key = _key(site, request)
    info = await site.engine.info(key, newest=True)
    if info is None or not info.exists or await accounts.is_gone(site, key.account):
        raise await _missing(site, request, key)
    await allow(request, metadata.value(info, "x-container-read"))
    return answers.listing(form, _headers(site, request, info), b"", status=204)


async def put(site: Site, request: Request) -> Response:
    _prepare(site, request)
    policy = _policy(site, request)
    limits.check_name(site.limits, "container", request.parts[2])
    key = _key(site, request)
    account = await site.engine.info(Key(key.account))
    if account is None or not account.exists:
        if account is not None or not site.options.account_autocreate:
            raise NotFound("")
        own = {name: value for name, value in request.headers.items() if name.startswith("x-account-sysmeta-")}
        await accounts.make(site, request, Key(key.account), own)
    elif 0 < site.options.max_containers_per_account <= account.total.containers:
        await _check_count(site, key)
    try:
        placed = await site.engine.put(
            key,
            request.now(),
            policy=None if policy is None else policy.number,
            metadata=metadata.asked(request, "container"),
            limits=accounts.index_limits(site),
        )
    except Conflict as error:
        raise Conflict("", code=error.code) from error
    return answers.refusal(201 if placed.created else 202)


async def post(site: Site, request: Request) -> Response:
    _prepare(site, request)
    key = _key(site, request)
    if await accounts.is_gone(site, key.account):
        raise NotFound("")
    try:
        asked = metadata.asked(request, "container")
        await site.engine.set_metadata(key, request.now(), asked, accounts.index_limits(site))
    except NotFound:
        raise NotFound("") from None
    return answers.refusal(204)


async def delete(site: Site, request: Request) -> Response:
    if await accounts.is_gone(site, request.names[0]):
        raise NotFound("")
    try:
        if not await site.engine.delete(_key(site, request), request.now()):
            raise NotFound("")
    except NotFound:
        raise NotFound("") from None
    except Conflict as error:
        raise Conflict("", code=error.code) from error
    return answers.refusal(204)


def _key(site: Site, request: Request) -> Key:
    account, container, _ = request.names
    return Key(account, container)


def _prepare(site: Site, request: Request) -> None:
    """Bring the headers into the form that is kept, those away that the caller may not set.

    Invalid for what cannot be set to what it says.
    """
    for name, kind in (("x-container-read", "read"), ("x-container-write", "write")):
        if name in request.headers:
            request.headers[name] = acls.clean("read" if kind == "read" else "write", request.headers[name])
    if to := request.headers.get(sync_realms.TO):
        Sync.of(site.options.of("container_sync")).target(to)
    limits.check_metadata(site.limits, request.headers, "container")
    if request.reseller and SHARDING in request.headers:
        request.headers[ENABLED] = str(request.is_true(SHARDING))
    metadata.for_caller(request.headers, request, site.options)


def _policy(site: Site, request: Request) -> Policy | None:
    name = request.headers.get("x-storage-policy")
    if not name:
        return None
    for policy in site.engine.policies:
        if name.upper() in [wire(each).upper() for each in (policy.name, *policy.aliases)]:
            if policy.deprecated:
                raise Invalid(f"Storage Policy '{policy.name}' is deprecated")
            return policy
    raise Invalid(f"Invalid X-Storage-Policy '{name}'")


async def _check_count(site: Site, key: Key) -> None:
    if key.account in site.options.max_containers_whitelist:
        return
    known = await site.engine.info(key)
    if known is None or not known.exists:
        raise Forbidden(f"Reached container limit of {site.options.max_containers_per_account}")


async def _missing(site: Site, request: Request, key: Key) -> NotFound:
    await allow(request)
    return NotFound("")


def _headers(site: Site, request: Request, info: Info) -> Headers:
    total = info.total
    found = {
        "x-container-object-count": str(total.objects),
        "x-container-bytes-used": str(total.bytes),
        "x-timestamp": stamps.normal(info.state.created),
        "last-modified": answers.date(info.state.put),
        "accept-ranges": "bytes",
    }
    for policy in site.engine.policies:
        if policy.number == info.policy:
            found["x-storage-policy"] = wire(policy.name)
    found |= metadata.shown(info)
    if request.reseller:
        found[SHARDING] = str(found.get(ENABLED) == "True")
    return metadata.for_caller(found, request, site.options)
