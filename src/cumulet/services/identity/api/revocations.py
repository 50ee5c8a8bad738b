# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-REVOKE/events`: which tokens are void before their time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api.views import base_url
from cumulet.services.identity.store import revocations as store
from cumulet.services.identity.types import Revocation

_SHOWN = {
    "user_id": "user_id",
    "project_id": "project_id",
    "domain_id": "domain_id",
    "audit_id": "audit_id",
    "audit_chain_id": "audit_chain_id",
    "trust_id": "OS-TRUST:trust_id",
    "consumer_id": "OS-OAUTH1:consumer_id",
    "access_token_id": "OS-OAUTH1:access_token_id",
}


def find_all(request: Request) -> Reply:
    events = [view(one) for one in store.find_all(request.cloud.db, _since(request.query.get("since")))]
    links = {"next": None, "previous": None, "self": f"{base_url(request)}/OS-REVOKE/events"}
    return Reply(200, {"events": events, "links": links})


def view(revocation: Revocation) -> dict[str, Any]:
    said = {shown: getattr(revocation, name) for name, shown in _SHOWN.items()}
    return {
        **{name: value for name, value in said.items() if value is not None},
        "issued_before": clock.iso_micro_z(revocation.issued_before),
        "revoked_at": clock.iso_micro_z(revocation.revoked_at),
    }


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"invalidate date format {text}") from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


ROUTES = (Route("GET", "/OS-REVOKE/events", find_all, "identity:list_revoke_events"),)
