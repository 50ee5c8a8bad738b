# SPDX-License-Identifier: Apache-2.0
"""`/v2/cache`: the copies of images that this data process keeps at hand."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import targets
from cumulet.services.image.logic import cache
from cumulet.services.image.types import Cached, CacheState

CLEAR_HEADER = "x-image-cache-clear-target"


def find_all(request: Request) -> Reply:
    cache.check_enabled(request.cloud)
    there = cache.find_all(request.cloud, CacheState.CACHED)
    wanted = cache.find_all(request.cloud, CacheState.QUEUED)
    by_id = sorted(there, key=lambda each: each.image_id)
    view = {"cached_images": [_view(each) for each in by_id], "queued_images": [each.image_id for each in wanted]}
    return Reply(200, view)


def clear(request: Request) -> Reply:
    cache.check_enabled(request.cloud)
    cache.clear(request.cloud, request.headers.get(CLEAR_HEADER, "").lower())
    return Reply(204)


def queue(request: Request) -> Reply:
    cache.check_enabled(request.cloud)
    cache.queue(request.cloud, request.ctx, request.params["image_id"])
    return Reply(202)


def remove(request: Request) -> Reply:
    cache.check_enabled(request.cloud)
    cache.remove(request.cloud, request.params["image_id"])
    return Reply(204)


def nodes(request: Request) -> Reply:
    cache.check_enabled(request.cloud)
    return Reply(200, cache.nodes(request.cloud, request.ctx, request.params["image_id"]))


def clean(request: Request) -> Reply:
    cache.check_enabled(request.cloud)
    cache.clean(request.cloud)
    return Reply(200)


def prune(request: Request) -> Reply:
    cache.check_enabled(request.cloud)
    count, size = cache.prune(request.cloud)
    return Reply(200, {"total_files_pruned": count, "total_bytes_pruned": size})


def _view(found: Cached) -> dict[str, Any]:
    return {
        "image_id": found.image_id,
        "hits": found.hits,
        "last_accessed": _seconds(found.accessed_at),
        "last_modified": _seconds(found.changed_at),
        "size": found.size,
    }


def _seconds(when: datetime) -> float:
    return calendar.timegm(when.timetuple()) + when.microsecond / 1e6


def _image(request: Request) -> Mapping[str, Any]:
    return targets.image_or("Image {} not found.")(request)


ROUTES = (
    Route("GET", "/cache", find_all, "cache_list"),
    Route("DELETE", "/cache", clear, "cache_delete"),
    Route("PUT", "/cache/{image_id}", queue, "cache_image", target=_image),
    Route("DELETE", "/cache/{image_id}", remove, "cache_delete", target=_image),
    Route("GET", "/cache/nodes/{image_id}", nodes, "list_cached_nodes"),
    Route("POST", "/cache/clean", clean, "cache_clean"),
    Route("POST", "/cache/prune", prune, "cache_prune"),
)
