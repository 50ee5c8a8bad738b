# SPDX-License-Identifier: Apache-2.0
"""Where an import's data come from: each method's way to have them in the staging area.

Each begins anew when it is called again, so that a crash costs no more than the way that was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from cumulet.kernel import faults
from cumulet.kernel.errors import Invalid
from cumulet.kernel.saga import Commit, Run
from cumulet.services.identity.contract import IdentityContract
from cumulet.services.image.drivers.web import Download, Filter, download
from cumulet.services.image.logic import importing, limits, staging
from cumulet.services.image.logic.bytes import STAGE, draft
from cumulet.services.image.logic.importing import Progress, Terms, token_name
from cumulet.services.image.types import CONTAINER_FORMATS, DISK_FORMATS, RESERVED_PREFIX
from cumulet.settings.image import ImageUse

PIECE = 1 << 20  # bytes
LONGEST_RECORD = 1 << 20  # bytes of JSON that describe another cloud's image


def filter_of(settings: Any) -> Filter:
    """The filter for addresses that users name; `settings` is the section `image_import`."""
    return Filter(**{name: getattr(settings, name) for name in Filter.__struct_fields__})


def fetch(run: Run) -> Commit | None:
    """Have the data staged."""
    source = _SOURCES[Terms(run).method["name"]]
    return source(run) if source is not None else None


def _staged(run: Run) -> None:
    """The user has staged them."""
    image = importing.held(run.cloud.db, Terms(run)).image
    there = staging.area(run.cloud).drafts()
    name = draft(STAGE, image.id)
    if name not in there or staging.area(run.cloud).draft_size(name) != image.size:
        raise Invalid("The staged data are gone.")


def _from_web(run: Run) -> None:
    chosen = run.cloud.settings.image_import
    with download(
        Terms(run).method["uri"], filter_of(chosen), timeout=chosen.timeout, time_limit=chosen.time_limit
    ) as body:
        _stage(run, body, body.size)


def _from_region(run: Run) -> Commit:
    """Another region's image, with its formats and some of its words."""
    terms, chosen = Terms(run), run.cloud.settings.image_import
    address = f"{_endpoint(run, terms)}/v2/images/{quote(terms.method['glance_image_id'], safe='')}"
    token = run.cloud.vault.get(token_name(terms.task_id))
    headers = {"X-Auth-Token": (token or b"").decode()}
    with download(address, filter_of(chosen), trusted=True, headers=headers, timeout=chosen.timeout) as body:
        told = _read_record(body)
    size = told.get("size")
    if told.get("status") != "active":
        raise Invalid(f"Source image status should be active instead of {told.get('status')}")
    if not isinstance(size, int):
        raise Invalid(f"Size attribute of remote image {terms.method['glance_image_id']} could not be determined.")
    words = _words(told, chosen.extra_properties, run.cloud.settings.image_use)
    with download(
        f"{address}/file",
        filter_of(chosen),
        trusted=True,
        headers=headers,
        timeout=chosen.timeout,
        time_limit=chosen.time_limit,
    ) as body:
        _stage(run, body, size)
    formats = {"disk_format": told["disk_format"], "container_format": told["container_format"]}
    return importing.change_words(run, formats, words)


def _endpoint(run: Run, terms: Terms) -> str:
    """Where the caller's catalogue has the other region's image service."""
    region, interface = terms.method["glance_region"], terms.method["glance_service_interface"]
    contract = run.cloud.contracts.use(IdentityContract)
    for service in contract.catalog(run.cloud.db, terms.user_id, terms.project_id):
        if service["type"] == "image":
            for endpoint in service["endpoints"]:
                if str(endpoint["region"]).lower() == region.lower() and endpoint["interface"] == interface:
                    return str(endpoint["url"]).rstrip("/")
    raise Invalid(f"{interface} glance endpoint not found for region {region}")


def _read_record(body: Download) -> Mapping[str, Any]:
    text = bytearray()
    while piece := body.read(PIECE):
        text += piece
        if len(text) > LONGEST_RECORD:
            raise Invalid("What the other image service says of the image is too long.")
    try:
        told: dict[str, Any] = msgspec.json.decode(bytes(text), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("What the other image service says of the image cannot be understood.") from error
    if told.get("disk_format") not in DISK_FORMATS or told.get("container_format") not in CONTAINER_FORMATS:
        raise Invalid("The other image is of formats that are not known here.")
    return told


def _words(told: Mapping[str, Any], prefixes: tuple[str, ...], quotas: ImageUse) -> dict[str, str]:
    found = {
        name: value
        for name, value in told.items()
        if name.startswith(prefixes) and not name.startswith(RESERVED_PREFIX) and isinstance(value, str)
    }
    limits.check_properties(quotas, found)
    return found


def _stage(run: Run, body: Download, size: int | None) -> None:
    image_id, cap = run.subject, run.cloud.settings.image_use.image_size_cap
    if size is not None and size > cap:
        raise Invalid("The provided image is too large.")
    area, name, done = staging.area(run.cloud), draft(STAGE, image_id), 0
    progress = Progress(run, "Fetched")
    area.discard(name)
    area.write(name, 0, b"")
    while piece := body.read(PIECE):
        if done + len(piece) > cap:
            raise Invalid("The provided image is too large.")
        area.write(name, done, piece)
        done += len(piece)
        faults.point("image.fetch")
        progress(done)
    if size is not None and done != size:
        raise Invalid(f"The downloaded data have {done} bytes, {size} were expected.")


_SOURCES: Mapping[str, Callable[[Run], Commit | None] | None] = {
    "glance-direct": _staged,
    "web-download": _from_web,
    "glance-download": _from_region,
    "copy-image": None,
}
