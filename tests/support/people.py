# SPDX-License-Identifier: Apache-2.0
"""People for one scenario: projects, a domain, users with every usual role, all new so that scenarios never meet."""

from __future__ import annotations

import secrets

from cumulet.kernel import clock, ids
from cumulet.kernel.db import Tx
from cumulet.services.identity.logic import login, passwords
from cumulet.services.identity.store import assignments, projects, roles, users
from cumulet.services.identity.types import SYSTEM_ID, Actor, Assignment, Password, Project, Target, User
from cumulet.services.network.store import quotas
from support.cloud import RunningCloud

PASSWORD = "correct horse"  # of every user made here
_MANY = ("floatingip", "network", "port", "rbac_policy", "router", "security_group", "subnet")


def environment(cloud: RunningCloud, *, objects: bool = False) -> dict[str, str]:
    """The variables that a scenario may name; `objects` opens the object store for it."""
    people = People(cloud)
    project, other = people.project("project"), people.project("other")
    domain = people.project("domain", is_domain=True)
    user = people.user("member")
    admin_project = people.named_project("admin")
    people.have_freely(admin_project)
    values = {
        "CONTROL_URL": cloud.control_url,
        "DATA_URL": cloud.data_url,
        "PROJECT_ID": project,
        "OTHER_PROJECT_ID": other,
        "ADMIN_PROJECT_ID": admin_project,
        "DOMAIN_ID": domain,
        "USER_ID": user,
        "USER_PASSWORD": PASSWORD,
        "SUFFIX": people.suffix,
        "LONG_TEXT": "x" * 5000,
        **{f"{name.upper()}_ROLE_ID": people.role(name) for name in ("admin", "manager", "member", "reader")},
    }
    if objects:
        values["OBJECTS_URL"] = cloud.objects_url()
    on_project = {"project": {"id": project}}
    people.grant(user, "member", Target.PROJECT, project)
    values["MEMBER_TOKEN"] = people.token(user, on_project)
    values["UNSCOPED_TOKEN"] = people.token(user, "unscoped")
    for role in ("manager", "reader"):
        values[f"{role.upper()}_TOKEN"] = people.token(people.holder(role, Target.PROJECT, project), on_project)
    stranger = people.holder("member", Target.PROJECT, other)
    values["OTHER_USER_ID"] = stranger
    values["OTHER_TOKEN"] = people.token(stranger, {"project": {"id": other}})
    values["SERVICE_TOKEN"] = people.token(
        people.holder("service", Target.PROJECT, people.named_project("service")),
        {"project": {"name": "service", "domain": {"id": "default"}}},
    )
    for role, name in (("admin", "DOMAIN_ADMIN_TOKEN"), ("manager", "DOMAIN_TOKEN"), ("reader", "DOMAIN_READER_TOKEN")):
        holder = people.holder(role, Target.DOMAIN, domain, domain)
        values[name] = people.token(holder, {"domain": {"id": domain}})
    reader = people.holder("reader", Target.SYSTEM, SYSTEM_ID)
    values["SYSTEM_READER_TOKEN"] = people.token(reader, {"system": {"all": True}})
    values["ADMIN_TOKEN"] = people.admin_token({"project": {"id": admin_project}})
    values["SYSTEM_TOKEN"] = people.admin_token({"system": {"all": True}})
    return values


class People:
    """Makes projects, users and grants by the identity service's own rooms."""

    def __init__(self, cloud: RunningCloud) -> None:
        self._running = cloud
        self._cloud = cloud.control.cloud
        self._hash = passwords.make_hash(PASSWORD, cloud.settings.identity.bcrypt_rounds)
        self.suffix = secrets.token_hex(4)

    def project(self, name: str, domain_id: str = "default", *, is_domain: bool = False) -> str:
        above = None if is_domain else domain_id
        new = Project(ids.new_hex(), f"{name}-{self.suffix}", above, above, "", True, is_domain, {}, {})
        self._cloud.db.write(lambda tx: projects.add(tx, new))
        return new.id

    def named_project(self, name: str) -> str:
        found = projects.find_by_name(self._cloud.db, name, "default")
        assert found is not None
        return found.id

    def have_freely(self, project_id: str) -> None:
        """No limit on what the project has: all scenarios of a cloud have the one admin's project in common."""
        if any(service.type == "network" for service in self._cloud.services):
            self._cloud.db.write(lambda tx: quotas.set_limits(tx, project_id, dict.fromkeys(_MANY, -1)))

    def role(self, name: str) -> str:
        found = roles.find_by_name(self._cloud.db, name)
        assert found is not None
        return found.id

    def user(self, name: str, domain_id: str = "default") -> str:
        new = User(ids.new_hex(), f"{name}-{self.suffix}", domain_id, None, True, {}, {}, clock.utcnow())

        def write(tx: Tx) -> None:
            users.add(tx, new)
            users.set_password(tx, Password(new.id, self._hash, clock.utcnow()))

        self._cloud.db.write(write)
        return new.id

    def grant(self, user_id: str, role: str, target: Target, target_id: str) -> None:
        new = Assignment(Actor.USER, user_id, target, target_id, self.role(role), False)
        self._cloud.db.write(lambda tx: assignments.add(tx, new))

    def holder(self, role: str, target: Target, target_id: str, domain_id: str = "default") -> str:
        """A new user who has the role there."""
        user_id = self.user(f"{role}-{target}", domain_id)
        self.grant(user_id, role, target, target_id)
        return user_id

    def token(self, user_id: str, scope: object) -> str:
        return self._token({"id": user_id, "password": PASSWORD}, scope)

    def admin_token(self, scope: object) -> str:
        user = {"name": "admin", "domain": {"id": "default"}, "password": self._running.admin_password}
        return self._token(user, scope)

    def _token(self, user: dict[str, object], scope: object) -> str:
        identity = {"methods": ["password"], "password": {"user": user}}
        return login.login(self._cloud, {"identity": identity, "scope": scope})[0]
