# SPDX-License-Identifier: Apache-2.0
"""The method `external`: a front that has proven the user by itself (Kerberos, certificates) names the user.

It is off until the settings name the header that the front sets, and counts from the front's own addresses alone. The
user is looked for in the default domain, or in the one that the header with `-Domain` behind its name says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.services.identity.logic import accounts
from cumulet.services.identity.logic.proofs import Attempt, Carried, Proven
from cumulet.services.identity.logic.refusals import refused
from cumulet.services.identity.logic.scopes import enabled_domain
from cumulet.services.identity.store import users
from cumulet.services.identity.types import DEFAULT_DOMAIN

METHOD = "external"


def named(cloud: Cloud, carried: Carried) -> str | None:
    """The user whom a trusted front names with this request."""
    settings = cloud.settings.identity
    if not settings.external_header or carried.client not in settings.external_from:
        return None
    return carried.headers.get(settings.external_header.lower()) or None


def prove(cloud: Cloud, words: Mapping[str, Any], attempt: Attempt) -> Proven:
    name = named(cloud, attempt.carried)
    if name is None:
        raise refused()
    header = f"{cloud.settings.identity.external_header}-Domain".lower()
    said = attempt.carried.headers.get(header)
    domain = enabled_domain(cloud.db, {"name": said} if said else {"id": DEFAULT_DOMAIN})
    user = users.find_by_name(cloud.db, name, domain.id)
    if user is None or not accounts.is_enabled(cloud, user):
        raise refused()
    return Proven(user=user, methods=(METHOD,))
