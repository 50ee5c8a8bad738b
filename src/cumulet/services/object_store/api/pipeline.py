# SPDX-License-Identifier: Apache-2.0
"""THE list of what a request passes on its way to the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from cumulet.kernel.errors import CumuletError
from cumulet.services.object_store.api import answers
from cumulet.services.object_store.api.filters.bulk import Bulk
from cumulet.services.object_store.api.filters.cname_lookup import CnameLookup
from cumulet.services.object_store.api.filters.container_sync import ContainerSync
from cumulet.services.object_store.api.filters.copying import Copying
from cumulet.services.object_store.api.filters.crossdomain import CrossDomain
from cumulet.services.object_store.api.filters.domain_remap import DomainRemap
from cumulet.services.object_store.api.filters.dynamic_large import DynamicLarge
from cumulet.services.object_store.api.filters.etag_quoter import EtagQuoter
from cumulet.services.object_store.api.filters.formpost import FormPost
from cumulet.services.object_store.api.filters.gatekeeper import Gatekeeper
from cumulet.services.object_store.api.filters.healthcheck import Healthcheck
from cumulet.services.object_store.api.filters.identity import IdentityTokens
from cumulet.services.object_store.api.filters.info import ServerInfo
from cumulet.services.object_store.api.filters.legacy_versions import LegacyVersions
from cumulet.services.object_store.api.filters.name_check import NameCheck
from cumulet.services.object_store.api.filters.object_versions import ObjectVersions
from cumulet.services.object_store.api.filters.quotas import AccountQuotas, ContainerQuotas
from cumulet.services.object_store.api.filters.ratelimit import RateLimit
from cumulet.services.object_store.api.filters.read_only import ReadOnly
from cumulet.services.object_store.api.filters.recon import ListEndpoints, Recon
from cumulet.services.object_store.api.filters.static_large import StaticLarge
from cumulet.services.object_store.api.filters.static_web import StaticWeb
from cumulet.services.object_store.api.filters.symlinks import Symlinks
from cumulet.services.object_store.api.filters.temp_auth import TempTokens
from cumulet.services.object_store.api.filters.tempurl import TempUrls
from cumulet.services.object_store.api.message import Filter, Go, Request, Response
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.api.store import Store
from cumulet.services.object_store.engine.encrypted import Encrypted
from cumulet.services.object_store.engine.keys import Secrets
from cumulet.services.object_store.logic import key_fetching
from cumulet.services.object_store.s3.filter import S3Api

Maker = Callable[[Site], Filter | None]


def chosen(name: str, make: Callable[[Site], Filter]) -> Maker:
    """A filter that is there only where the operator's settings name it."""
    return lambda site: make(site) if site.options.has(name) else None


FILTERS: Sequence[Maker] = (
    Gatekeeper,
    Healthcheck,
    chosen("recon", Recon),
    chosen("list_endpoints", ListEndpoints),
    chosen("cname_lookup", CnameLookup),
    chosen("domain_remap", DomainRemap),
    EtagQuoter,
    ServerInfo,
    CrossDomain,
    chosen("name_check", NameCheck),
    chosen("read_only", ReadOnly),
    ContainerSync,
    Bulk,
    TempUrls,
    S3Api,
    FormPost,
    chosen("ratelimit", RateLimit),
    TempTokens,
    IdentityTokens,
    StaticWeb,
    Copying,
    ContainerQuotas,
    AccountQuotas,
    StaticLarge,
    DynamicLarge,
    LegacyVersions,
    ObjectVersions,
    Symlinks,
)


def build(site: Site, filters: Sequence[Maker] = FILTERS) -> Go:
    """The way through all of them, in this order."""
    site = with_encryption(site)
    made = [each for each in (make(site) for make in filters) if each is not None]
    for each in made:
        if isinstance(each, ServerInfo):
            each.tell([other.info for other in made])
        elif isinstance(each, S3Api):
            each.tell(frozenset(name for other in made for name in other.info))
    go: Go = Store(site)
    for each in reversed(made):
        go = _passing(each, go)
    return go


def with_encryption(site: Site) -> Site:
    """The site whose bodies and metadata are encrypted where the operator has given secrets, or who has them, once."""
    settings, manager = site.options.has("encryption"), site.options.has(key_fetching.SECTION)
    if isinstance(site.engine, Encrypted) or not (settings or manager):
        return site
    options = site.options.of("encryption")
    writes = not options.get("disable_encryption", False)
    secrets = Secrets.of(options, awaited=manager)
    return msgspec.structs.replace(site, engine=Encrypted(site.engine, secrets, writes=writes))


def _passing(each: Filter, go: Go) -> Go:
    """The way through one of them; its refusals are answers for those before it."""

    async def passed(request: Request) -> Response:
        try:
            return await each(request, go)
        except CumuletError as error:
            return answers.of(error)

    return passed
