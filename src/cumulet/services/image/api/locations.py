# SPDX-License-Identifier: Apache-2.0
"""`/v2/images/{id}/locations`: where stores keep the data, told to services; and data that are there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Phrase, Schema
from cumulet.services.image.api import targets, views
from cumulet.services.image.logic import access, location_imports, locations

_ALGORITHMS = ["sha1", "sha256", "sha512", "md5"]
_NEW = Schema(
    {
        "type": "object",
        "properties": {
            "url": {"type": "string", "minLength": 1},
            "validation_data": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "os_hash_algo": {"type": "string", "maxLength": 64, "enum": _ALGORITHMS},
                    "os_hash_value": {"type": "string", "maxLength": 128},
                },
                "anyOf": [{"required": ["os_hash_algo", "os_hash_value"]}, {"maxProperties": 0}],
            },
        },
        "required": ["url"],
    },
    phrase=Phrase(lambda refusal: f"Provided object does not match schema 'location': {refusal.report}", best=True),
)


def find_all(request: Request) -> Reply:
    image = access.get(request.cloud.db, request.ctx, request.params["image_id"])
    found = locations.ordered(request.cloud, locations.of_image(request.cloud.db, image))
    return Reply(200, [views.location(each, request.cloud) for each in found])


def add(request: Request) -> Reply:
    said = request.body
    sums = said.get("validation_data", {})
    location_imports.start(request.cloud, request.ctx, request.params["image_id"], said["url"], sums)
    return Reply(202)


def _seen_for(rule: str) -> targets.Target:
    """The image of the path: services pass the rule that have none of the roles by which users see images."""

    def load(request: Request) -> Mapping[str, Any]:
        image = access.get(request.cloud.db, request.ctx, request.params["image_id"])
        target = access.target(request.cloud.db, request.ctx, image)
        return target if request.allows(rule, target) else targets.image(request)

    return load


_FETCH, _ADD = "fetch_image_location", "add_image_location"
ROUTES = (
    Route("GET", "/images/{image_id}/locations", find_all, _FETCH, target=_seen_for(_FETCH)),
    Route(  # a web server far away is asked
        "POST", "/images/{image_id}/locations", add, _ADD, target=_seen_for(_ADD), body=_NEW, slow=True
    ),
)
