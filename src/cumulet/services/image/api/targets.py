# SPDX-License-Identifier: Apache-2.0
"""What the rules of routes are judged on: the image of the path, or nothing of it where the caller must not know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Request
from cumulet.services.image.logic import access

Target = Callable[[Request], Mapping[str, Any]]


def image(request: Request) -> Mapping[str, Any]:
    """The image of the path; NotFound where the caller may not see it."""
    db, image_id = request.cloud.db, request.params["image_id"]
    found = access.get_allowed(request.cloud, db, request.ctx, image_id)
    return access.target(db, request.ctx, found)


def image_or(words: str) -> Target:
    """As `image`, with words of its own (`"Image {} not found."`) for an image that is not there."""

    def load(request: Request) -> Mapping[str, Any]:
        try:
            return image(request)
        except NotFound:
            raise NotFound(words.format(request.params["image_id"])) from None

    return load
