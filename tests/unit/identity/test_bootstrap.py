# SPDX-License-Identifier: Apache-2.0
"""What a new cloud begins with, and what later starts leave alone."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import pytest
from identity_cloud import everything, make_cloud

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.secrets import Secrets
from cumulet.services.identity import bootstrap, cli
from cumulet.services.identity.logic import grants, login, passwords
from cumulet.services.identity.logic import users as user_logic
from cumulet.services.identity.store import assignments, endpoints, projects, roles, services, users

ADMIN = {"name": "admin", "domain": {"id": "default"}}


def log_in(cloud: Cloud, password: str, scope: object) -> set[str]:
    identity = {"methods": ["password"], "password": {"user": {**ADMIN, "password": password}}}
    return {role.name for role in login.login(cloud, {"identity": identity, "scope": scope})[1].roles}


def test_the_administrator_may_do_everything(cloud: Cloud) -> None:
    secret = Secrets(cloud.settings.state).get("admin_password")
    assert secret is not None
    assert len(secret) > 20
    chain = {"admin", "manager", "member", "reader"}
    assert log_in(cloud, secret, {"project": {"name": "admin", "domain": {"id": "default"}}}) == chain
    assert log_in(cloud, secret, {"system": {"all": True}}) == chain


def test_the_secret_is_private(cloud: Cloud) -> None:
    assert (cloud.settings.state / "secrets.toml").stat().st_mode & 0o777 == 0o600


def test_the_standard_roles_and_projects_are_there(cloud: Cloud) -> None:
    names = {role.name for role in roles.find_all(cloud.db)}
    assert names == {"admin", "manager", "member", "reader", "service", "ResellerAdmin"}
    assert {project.name for project in projects.find_all(cloud.db)} == {"Default", "admin", "service"}


def test_a_second_start_changes_nothing(cloud: Cloud) -> None:
    before = everything(cloud)
    bootstrap.run(cloud)
    assert everything(cloud) == before


def test_what_was_taken_away_stays_away(cloud: Cloud) -> None:
    service_project = projects.find_by_name(cloud.db, "service", "default")
    assert service_project is not None
    cloud.db.write(lambda tx: projects.remove(tx, service_project.id))
    bootstrap.run(cloud)
    assert projects.find_by_name(cloud.db, "service", "default") is None


def test_the_catalogue_follows_a_changed_port(cloud: Cloud) -> None:
    before = {endpoint.id: endpoint.url for endpoint in endpoints.find_all(cloud.db)}
    moved = make_cloud(cloud.settings.state, 9999)
    bootstrap.run(moved)
    after = {endpoint.id: endpoint.url for endpoint in endpoints.find_all(cloud.db)}
    moved.db.close()
    assert before.keys() == after.keys()
    assert set(after.values()) == {"http://127.0.0.1:9999/identity"}
    assert [service.type for service in services.find_all(cloud.db)] == ["identity"]


def test_the_administrators_own_password_stays(cloud: Cloud) -> None:
    admin = users.find_by_name(cloud.db, "admin", "default")
    assert admin is not None
    before = users.password_of(cloud.db, admin.id)
    bootstrap.run(cloud)
    assert users.password_of(cloud.db, admin.id) == before


def test_the_secret_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from identity_cloud import made_and_filled

    with caplog.at_level(logging.DEBUG):
        cloud = made_and_filled(tmp_path)
    secret = Secrets(tmp_path).get("admin_password")
    cloud.db.close()
    assert secret is not None
    assert secret not in caplog.text
    assert not passwords.matches(secret, passwords.make_hash("admin", 4))


def test_the_administrator_is_let_in_again(cloud: Cloud) -> None:
    admin = users.find_by_name(cloud.db, "admin", "default")
    assert admin is not None
    user_logic.update(cloud, admin.id, {"password": "forgotten", "enabled": False})
    for given in assignments.find_all(cloud.db, actor_id=admin.id):
        grants.delete(cloud, given)
    parser = argparse.ArgumentParser()
    cli.arguments(parser.add_subparsers(dest="action", required=True))
    (told,) = cli.run(cloud.settings, cloud.db, cloud.vault, parser.parse_args(["bootstrap"]))
    secret = Secrets(cloud.settings.state).get("admin_password")
    assert secret is not None
    assert secret not in told
    for scope in ({"project": ADMIN}, {"system": {"all": True}}):
        assert "admin" in log_in(cloud, secret, scope)
