# SPDX-License-Identifier: Apache-2.0
"""`/reshaper`"""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.kernel.http import Reply, Request
from cumulet.services.placement.api import allocations, inventories
from cumulet.services.placement.api.views import UUID_KEY, body_schema, done, writer
from cumulet.services.placement.logic import reshaper as logic

_RESHAPE = body_schema(
    {
        "type": "object",
        "properties": {
            "inventories": {
                "type": "object",
                "patternProperties": {UUID_KEY: inventories.ALL_DOCUMENT},
                "minProperties": 1,
                "additionalProperties": False,
            },
            "allocations": allocations.ALL_DOCUMENT,
        },
        "required": ["inventories", "allocations"],
        "additionalProperties": False,
    }
)


def reshape(request: Request) -> Reply:
    body = request.body
    inventory = {
        uuid: (wanted["resource_provider_generation"], inventories.from_body(uuid, wanted))
        for uuid, wanted in body["inventories"].items()
    }
    wishes = allocations.wishes_in(request, body["allocations"])
    try:
        logic.reshape(request.cloud, inventory, wishes)
    except NotFound as error:
        raise Invalid(f"malformed reshaper data: {error.message}") from error
    except Conflict as error:
        about = {"InventoryInUse": "update conflict: ", "InvalidInventory": "Unable to allocate inventory: "}
        raise Conflict(about.get(error.code, "") + error.message, code=error.code) from error
    return done(request)


ROUTES = (writer("POST", "/reshaper", reshape, "placement:reshaper:reshape", _RESHAPE, since=(1, 30)),)
