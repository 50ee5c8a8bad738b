# SPDX-License-Identifier: Apache-2.0
"""What policy rules are judged on: whether the new defaults are in force (they are), and the thing itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import own
from cumulet.kernel.http import Request
from cumulet.services.key_manager.logic import acls, containers, orders, secrets
from cumulet.services.key_manager.types import Container, Secret

NEW_DEFAULTS = {"enforce_new_defaults": True}

Target = Mapping[str, Any]


def anything(request: Request) -> Target:
    """Something of the caller's own."""
    return {**own(request.ctx), **NEW_DEFAULTS}


def secret(request: Request) -> Target:
    """The secret that the path names."""
    return of_secret(request, secrets.get(request.cloud.db, request.params["secret_id"]))


def container(request: Request) -> Target:
    """The container that the path names."""
    return of_container(request, containers.get(request.cloud.db, request.params["container_id"]))


def order(request: Request) -> Target:
    """The order that the path names, of the caller's project."""
    found = orders.get(request.cloud.db, request.ctx, request.params["order_id"])
    return {**NEW_DEFAULTS, "target": {"order": {"project_id": found.project_id, "creator_id": found.creator_id}}}


def of_secret(request: Request, found: Secret) -> Target:
    return {**NEW_DEFAULTS, "target": {"secret": acls.target(request.cloud.db, request.ctx, found)}}


def of_container(request: Request, found: Container) -> Target:
    return {**NEW_DEFAULTS, "target": {"container": acls.target(request.cloud.db, request.ctx, found)}}
