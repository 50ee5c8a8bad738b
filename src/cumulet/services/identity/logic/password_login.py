# SPDX-License-Identifier: Apache-2.0
"""The method `password`: a user's name or id and password. An unknown user takes as long as a wrong password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.logic import accounts, directory_login
from cumulet.services.identity.logic.proofs import Attempt, Proven, find_user
from cumulet.services.identity.logic.scopes import enabled_domain, lacks


def prove(cloud: Cloud, words: Mapping[str, Any], attempt: Attempt) -> Proven:
    if "user" not in words:
        raise lacks("user", "password")
    try:
        user = find_user(cloud.db, words["user"])
    except Unauthorized:
        user = None
    outside = directory_login.domain_of(cloud, words["user"], user)
    if outside is not None:
        user = directory_login.prove(cloud, outside, words["user"], user)
    else:
        user = accounts.prove(cloud, user, words["user"].get("password"))
    enabled_domain(cloud.db, {"id": user.domain_id})
    return Proven(user=user, methods=("password",))
