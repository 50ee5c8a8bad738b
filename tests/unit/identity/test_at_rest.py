# SPDX-License-Identifier: Apache-2.0
"""What somebody reads who has taken the database."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.secrets import Secrets
from cumulet.services.identity.logic import (
    application_credentials,
    consumers,
    credentials,
    login,
    oauth1_secrets,
    users,
)
from cumulet.services.identity.store import users as user_store


def test_no_secret_stands_in_the_database(cloud: Cloud) -> None:
    users.create(cloud, Context(), {"name": "eve", "password": "a-password-of-eve"})
    credentials.create(cloud, {"type": "cert", "blob": "a-blob-of-eve", "user_id": "x"})
    admin = Secrets(cloud.settings.state).get("admin_password")
    assert admin is not None
    user = {"name": "admin", "domain": {"id": "default"}, "password": admin}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    identity = {"methods": ["password"], "password": {"user": user}}
    token, bearer = login.login(cloud, {"identity": identity, "scope": scope})
    application_credentials.create(cloud, bearer, {"name": "robot", "secret": "a-secret-of-a-robot"})
    assert user_store.find_by_name(cloud.db, "eve", "default") is not None
    of_a_consumer = oauth1_secrets.of(cloud, consumers.create(cloud, {"description": "of eve"}))
    kept = b"".join(path.read_bytes() for path in cloud.settings.state.glob("cumulet.db*"))
    assert b"eve" in kept
    for secret in ("a-password-of-eve", "a-blob-of-eve", "a-secret-of-a-robot", of_a_consumer, admin, token):
        assert secret.encode() not in kept
