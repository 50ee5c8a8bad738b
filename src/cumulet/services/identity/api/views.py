# SPDX-License-Identifier: Apache-2.0
"""What all of the identity service's requests and answers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import CumuletError
from cumulet.kernel.http import Request
from cumulet.kernel.schema import Schema, in_full
from cumulet.services.identity.logic.scopes import lacks

BASE = "/v3"

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})


def schema(document: Mapping[str, Any]) -> Schema:
    """A schema whose refusals are worded as Keystone's are."""
    return Schema(document, phrase=in_full)


def self_link(request: Request, collection_name: str, resource_id: str) -> dict[str, str]:
    return {"self": f"{request.root_url}{BASE}/{collection_name}/{resource_id}"}


def collection(request: Request, name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """A list with its links."""
    query = f"?{request.query_string}" if request.query_string else ""
    return {name: items, "links": {"next": None, "previous": None, "self": request.url + query}}


def lacks_in_body(name: str) -> CumuletError:
    """The refusal of a body without its one outermost name."""
    return lacks(name, "request body")


def truth(text: str | None) -> bool:
    """Whether a parameter's text means true, as OpenStack reads it."""
    return text is not None and text.strip().lower() in _TRUE
