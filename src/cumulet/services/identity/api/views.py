# SPDX-License-Identifier: Apache-2.0
"""What all of the identity service's answers have in common."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Request

BASE = "/v3"


def self_link(request: Request, collection_name: str, resource_id: str) -> dict[str, str]:
    return {"self": f"{request.root_url}{BASE}/{collection_name}/{resource_id}"}


def collection(request: Request, name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """A list with its links; the service does not page."""
    query = f"?{request.query_string}" if request.query_string else ""
    return {name: items, "links": {"next": None, "previous": None, "self": request.url + query}}
