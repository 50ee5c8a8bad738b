# SPDX-License-Identifier: Apache-2.0
"""A running cloud with a domain whose users are in an OpenLDAP, spoken to by HTTP and by the `openstack` command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import pytest

from clients.openstack_command import CommandFailed, OpenStackCommand, names
from cumulet.services.identity.drivers.directories import ldap_wire
from cumulet.services.identity.logic import directory_mirror, public_ids
from cumulet.services.identity.store import directory_entries
from support.cloud import RunningCloud
from support.openldap import PASSWORD, READER, SUFFIX, OpenLdap, entry
from support.people import environment

# The library asks Python itself to compare the host's name, which Python 3.12 has no more; then it has its own.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.match_hostname")

SECRET = "the password of {0}"
PEOPLE = {"alice": True, "bob": True, "carol": False, "dave": True}
TEAMS = {"staff": ("alice", "carol"), "guests": ("bob",)}


def dn(name: str) -> str:
    return f"uid={name},ou=Users,{SUFFIX}"


def team(name: str) -> str:
    return f"cn={name},ou=Groups,{SUFFIX}"


def ldif() -> str:
    """`carol` is disabled by a bit, `dave` by an attribute of his own."""
    words = entry(SUFFIX, "dcObject organization", dc="example", o="Example")
    words += "".join(entry(f"ou={one},{SUFFIX}", "organizationalUnit", ou=one) for one in ("Users", "Groups"))
    for name, enabled in PEOPLE.items():
        words += entry(
            dn(name), "inetOrgPerson", uid=name, cn=name.title(), sn=name, mail=f"{name}@example.org",
            userPassword=SECRET.format(name), employeeNumber=512 if enabled else 514,
            employeeType="FALSE" if name == "dave" else "TRUE",
        )  # fmt: skip
    for name, members in TEAMS.items():
        words += entry(team(name), "groupOfNames", cn=name, member=[dn(one) for one in members])
    return words


class Corp:
    """The domain, its directory, and an administrator."""

    def __init__(self, cloud: RunningCloud, server: OpenLdap) -> None:
        self.cloud, self.server = cloud, server
        self.words = environment(cloud)
        self.http = httpx.Client(base_url=f"{cloud.control_url}/identity/v3", timeout=60)
        self.name = f"corp-{self.words['SUFFIX']}"
        self.domain = self.made("/domains", {"domain": {"name": self.name}})["domain"]["id"]
        config = {
            "identity": {"driver": "ldap"},
            "ldap": {
                "url": server.tls_url,
                "tls_cacertfile": str(server.authority),
                "user": READER,
                "password": PASSWORD,
                "suffix": SUFFIX,
                "user_tree_dn": f"ou=Users,{SUFFIX}",
                "user_id_attribute": "uid",
                "user_name_attribute": "uid",
                "user_enabled_attribute": "employeeNumber",
                "user_enabled_mask": "2",
                "user_enabled_default": "512",
                "group_tree_dn": f"ou=Groups,{SUFFIX}",
                "group_name_attribute": "cn",
                "page_size": "2",
            },
        }
        shown = self.made(self.config, {"config": config}, "PUT")["config"]
        assert shown["ldap"]["url"] == server.tls_url
        assert PASSWORD not in str(shown)

    @property
    def config(self) -> str:
        return f"/domains/{self.domain}/config"

    def ask(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> httpx.Response:
        sent = {"X-Auth-Token": token or self.words["ADMIN_TOKEN"], **headers}
        return self.http.request(method, path, json=body, headers=sent)

    def made(self, path: str, body: Any, method: str = "POST") -> Any:
        answer = self.ask(method, path, body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def listed(self, kind: str, **words: str) -> dict[str, dict[str, Any]]:
        """Users or groups of the domain by their names."""
        answer = self.http.get(
            f"/{kind}", params={"domain_id": self.domain, **words}, headers={"X-Auth-Token": self.words["ADMIN_TOKEN"]}
        )
        assert answer.status_code == 200, answer.text
        return {one["name"]: one for one in answer.json()[kind]}

    def log_in(self, name: str, scope: Any = "unscoped", secret: str = "", **who: Any) -> httpx.Response:
        user = {**(who or {"name": name, "domain": {"name": self.name}}), "password": secret or SECRET.format(name)}
        identity = {"methods": ["password"], "password": {"user": user}}
        return self.http.post("/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})

    def is_valid(self, token: str) -> bool:
        return self.ask("HEAD", "/auth/tokens", None, **{"X-Subject-Token": token}).status_code == 200

    def project(self, name: str) -> str:
        body = {"project": {"name": name, "domain_id": self.domain}}
        return str(self.made("/projects", body)["project"]["id"])

    def tell(self, name: str, **changes: list[tuple[str, list[str]]]) -> None:
        """Change an entry in the directory itself."""
        server = ldap_wire.ldap3.Server(self.server.url)
        with ldap_wire.ldap3.Connection(server, READER, PASSWORD, auto_bind=True) as connection:
            assert connection.modify(name, changes), connection.result


@pytest.fixture(scope="module")
def server() -> Iterator[OpenLdap]:
    made = OpenLdap(ldif())
    yield made
    made.close()


@pytest.fixture
def corp(cloud: RunningCloud, server: OpenLdap) -> Iterator[Corp]:
    made = Corp(cloud, server)
    yield made
    made.ask("PATCH", f"/domains/{made.domain}", {"domain": {"enabled": False}})
    assert made.ask("DELETE", f"/domains/{made.domain}").status_code == 204
    made.http.close()


@pytest.fixture
def look_again(cloud: RunningCloud, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Does what the cloud does when what it knows of a directory has become old."""
    before = cloud.control.cloud.settings
    old = msgspec.structs.replace(before.identity, directory_cache_time=-1)

    def look() -> None:
        monkeypatch.setattr(cloud.control.cloud, "settings", msgspec.structs.replace(before, identity=old))
        directory_mirror.refresh_used(cloud.control.cloud)
        monkeypatch.setattr(cloud.control.cloud, "settings", before)

    return look


def test_who_is_in_the_directory_logs_in(corp: Corp) -> None:
    answer = corp.log_in("alice")
    assert answer.status_code == 201, answer.text
    user = answer.json()["token"]["user"]
    assert (user["name"], user["domain"]) == ("alice", {"id": corp.domain, "name": corp.name})
    assert user["password_expires_at"] is None
    assert user["id"] == public_ids.of(corp.domain, "user", "alice")
    assert corp.log_in("alice", id=user["id"]).status_code == 201
    wrong = {
        corp.log_in("alice", secret="wrong").text,
        corp.log_in("nobody").text,
        corp.log_in("carol").text,
        corp.log_in("alice", secret=SECRET.format("bob")).text,
        corp.log_in("al*", secret=SECRET.format("alice")).text,
        corp.log_in("alice)(uid=*", secret=SECRET.format("alice")).text,
    }
    assert len(wrong) == 1, wrong
    assert '"code":401' in wrong.pop()


def test_disabled_by_an_attribute_of_its_own(corp: Corp) -> None:
    assert corp.log_in("dave").status_code == 201
    said = {"user_enabled_attribute": "employeeType", "user_enabled_mask": "0", "user_enabled_default": "True"}
    assert corp.ask("PATCH", f"{corp.config}/ldap", {"config": {"ldap": said}}).status_code == 200
    assert [corp.log_in(name).status_code for name in ("dave", "carol", "alice")] == [401, 201, 201]
    enabled = {name: user["enabled"] for name, user in corp.listed("users").items()}
    assert enabled == {"alice": True, "bob": True, "carol": True, "dave": False}


def test_users_and_groups_are_listed_shown_and_filtered(corp: Corp) -> None:
    users = corp.listed("users")
    assert {name: user["enabled"] for name, user in users.items()} == PEOPLE
    assert users["bob"]["email"] == "bob@example.org"
    shown = corp.ask("GET", f"/users/{users['bob']['id']}").json()["user"]
    assert (shown["name"], shown["domain_id"], shown["enabled"]) == ("bob", corp.domain, True)
    assert list(corp.listed("users", name="bob")) == ["bob"]
    assert list(corp.listed("users", name="nobody")) == []
    assert list(corp.listed("users", enabled="false")) == ["carol"]
    assert list(corp.listed("users", name__startswith="a")) == ["alice"]
    groups = corp.listed("groups")
    assert set(groups) == set(TEAMS)
    assert list(corp.listed("groups", name="staff")) == ["staff"]
    staff, alice = groups["staff"]["id"], users["alice"]["id"]
    assert corp.ask("GET", f"/groups/{staff}").json()["group"]["domain_id"] == corp.domain
    members = corp.ask("GET", f"/groups/{staff}/users").json()["users"]
    assert {one["name"] for one in members} == {"alice", "carol"}
    theirs = corp.ask("GET", f"/users/{alice}/groups").json()["groups"]
    assert [one["name"] for one in theirs] == ["staff"]
    assert corp.ask("HEAD", f"/groups/{staff}/users/{alice}").status_code == 204
    assert corp.ask("HEAD", f"/groups/{staff}/users/{users['bob']['id']}").status_code == 404


def test_roles_come_from_grants_and_from_groups_of_the_directory(corp: Corp, look_again: Callable[[], None]) -> None:
    lab = corp.project("lab")
    users, groups = corp.listed("users"), corp.listed("groups")
    reader, member = corp.words["READER_ROLE_ID"], corp.words["MEMBER_ROLE_ID"]
    corp.made(f"/projects/{lab}/users/{users['bob']['id']}/roles/{reader}", None, "PUT")
    corp.made(f"/projects/{lab}/groups/{groups['staff']['id']}/roles/{member}", None, "PUT")
    scope = {"project": {"id": lab}}

    def roles(name: str) -> set[str]:
        answer = corp.log_in(name, scope)
        return {role["name"] for role in answer.json()["token"]["roles"]} if answer.status_code == 201 else set()

    assert (roles("alice"), roles("bob"), roles("dave")) == ({"member", "reader"}, {"reader"}, set())
    effective = corp.ask("GET", f"/role_assignments?effective&include_names&scope.project.id={lab}").json()
    assert ("alice", "member") in {(one["user"]["name"], one["role"]["name"]) for one in effective["role_assignments"]}

    token = corp.log_in("alice", scope).headers["X-Subject-Token"]
    assert corp.is_valid(token)
    corp.tell(team("staff"), member=[("MODIFY_DELETE", [dn("alice")]), ("MODIFY_ADD", [dn("bob")])])
    try:
        assert (roles("alice"), roles("bob")) == (set(), {"member", "reader"})
        look_again()
        assert not corp.is_valid(token)
    finally:
        corp.tell(team("staff"), member=[("MODIFY_REPLACE", [dn("alice"), dn("carol")])])


def test_who_is_disabled_there_loses_tokens(corp: Corp, look_again: Callable[[], None]) -> None:
    token = corp.log_in("bob").headers["X-Subject-Token"]
    other = corp.log_in("alice").headers["X-Subject-Token"]
    corp.tell(dn("bob"), employeeNumber=[("MODIFY_REPLACE", ["514"])])
    try:
        assert corp.log_in("bob").status_code == 401
        look_again()
        assert (corp.is_valid(token), corp.is_valid(other)) == (False, True)
    finally:
        corp.tell(dn("bob"), employeeNumber=[("MODIFY_REPLACE", ["512"])])


def test_nothing_is_written_there(corp: Corp) -> None:
    alice, staff = corp.listed("users")["alice"]["id"], corp.listed("groups")["staff"]["id"]
    token = corp.log_in("alice").headers["X-Subject-Token"]
    words = {"original_password": SECRET.format("alice"), "password": "another password"}
    tries = (
        ("POST", "/users", {"user": {"name": "eve", "domain_id": corp.domain}}, ""),
        ("PATCH", f"/users/{alice}", {"user": {"email": "eve@example.org"}}, ""),
        ("DELETE", f"/users/{alice}", None, ""),
        ("POST", f"/users/{alice}/password", {"user": words}, token),
        ("POST", "/groups", {"group": {"name": "eves", "domain_id": corp.domain}}, ""),
        ("PATCH", f"/groups/{staff}", {"group": {"description": "eve's"}}, ""),
        ("DELETE", f"/groups/{staff}", None, ""),
        ("PUT", f"/groups/{staff}/users/{corp.listed('users')['bob']['id']}", None, ""),
        ("DELETE", f"/groups/{staff}/users/{alice}", None, ""),
    )
    answers = [corp.ask(method, path, body, token) for method, path, body, token in tries]
    assert [answer.status_code for answer in answers] == [403] * len(tries)
    assert all("LDAP does not support write operations" in answer.text for answer in answers)
    assert corp.log_in("alice").status_code == 201


def test_one_that_stands_still_delays_its_own_people_alone(corp: Corp, monkeypatch: pytest.MonkeyPatch) -> None:
    token = corp.log_in("alice").headers["X-Subject-Token"]
    with ThreadPoolExecutor(12) as callers:
        corp.server.hold()
        try:
            waiting = [callers.submit(corp.log_in, "alice") for _ in range(12)]
            for _ in range(5):
                user = {"name": "admin", "domain": {"id": "default"}, "password": corp.cloud.admin_password}
                identity = {"methods": ["password"], "password": {"user": user}}
                assert corp.http.post("/auth/tokens", json={"auth": {"identity": identity}}).status_code == 201
                assert corp.is_valid(token)
                assert corp.ask("GET", "/users?domain_id=default").status_code == 200
            assert not any(one.done() for one in waiting)
        finally:
            corp.server.go_on()
        assert {one.result().status_code for one in waiting} == {201}
        monkeypatch.setattr(ldap_wire, "PATIENCE", 0.3)
        corp.server.hold()
        try:
            answer = corp.log_in("alice")
            assert answer.status_code == 503
            assert "not available" in answer.json()["error"]["message"]
            assert corp.ask("GET", f"/users?domain_id={corp.domain}").status_code == 503
            assert corp.is_valid(token)
        finally:
            corp.server.go_on()


def test_one_that_is_not_there_or_not_itself(corp: Corp) -> None:
    """An address where nobody listens, and a server that the configured authority has not certified."""
    for said in ({"url": "ldaps://127.0.0.1:1"}, {"tls_cacertfile": "/etc/ssl/certs/ca-certificates.crt"}):
        assert corp.ask("PATCH", f"{corp.config}/ldap", {"config": {"ldap": said}}).status_code == 200
        assert corp.log_in("alice").status_code == 503
        good = {"url": corp.server.tls_url, "tls_cacertfile": str(corp.server.authority)}
        assert corp.ask("PATCH", f"{corp.config}/ldap", {"config": {"ldap": good}}).status_code == 200
        assert corp.log_in("alice").status_code == 201


def test_with_its_configuration_go_its_people(corp: Corp) -> None:
    lab = corp.project("lab")
    alice = corp.listed("users")["alice"]["id"]
    corp.made(f"/projects/{lab}/users/{alice}/roles/{corp.words['READER_ROLE_ID']}", None, "PUT")
    token = corp.log_in("alice", {"project": {"id": lab}}).headers["X-Subject-Token"]
    assert corp.ask("DELETE", corp.config).status_code == 204
    assert corp.ask("GET", corp.config).status_code == 404
    assert corp.log_in("alice").status_code == 401
    assert not corp.is_valid(token)
    assert corp.listed("users") == corp.listed("groups") == {}
    assert corp.ask("GET", f"/users/{alice}").status_code == 404
    here = {"user": {"name": "alice", "domain_id": corp.domain, "password": "a local one"}}
    assert corp.made("/users", here)["user"]["id"] != alice
    assert corp.log_in("alice", secret="a local one").status_code == 201


def test_nothing_of_a_domain_that_is_gone_is_kept(corp: Corp, cloud: RunningCloud) -> None:
    other = Corp(cloud, corp.server)
    other.listed("users")
    other.ask("PATCH", f"/domains/{other.domain}", {"domain": {"enabled": False}})
    assert other.ask("DELETE", f"/domains/{other.domain}").status_code == 204
    db = cloud.control.cloud.db
    assert not directory_entries.of_domain(db, other.domain, "user")
    assert cloud.control.cloud.vault.get(f"identity.domain.{other.domain}.ldap.password") is None


def test_the_command_knows_them(corp: Corp, cloud: RunningCloud) -> None:
    openstack = OpenStackCommand(cloud)
    assert set(names(openstack(f"user list --domain {corp.name}"))) == set(PEOPLE)
    assert set(names(openstack(f"group list --domain {corp.name}"))) == set(TEAMS)
    assert openstack(f"user show --domain {corp.name} alice")["email"] == "alice@example.org"
    assert openstack(f"group show --domain {corp.name} staff")["domain_id"] == corp.domain
    assert set(names(openstack(f"user list --group staff --domain {corp.domain}"))) == {"alice", "carol"}
    corp.project("desk")
    where = f"--project desk --project-domain {corp.name}"
    openstack.text(f"role add {where} --group staff --group-domain {corp.name} member")
    openstack.text(f"role add {where} --user bob --user-domain {corp.name} reader")
    alice = OpenStackCommand(
        cloud, OS_USERNAME="alice", OS_USER_DOMAIN_ID=corp.domain, OS_PASSWORD=SECRET.format("alice"),
        OS_PROJECT_NAME="desk", OS_PROJECT_DOMAIN_ID=corp.domain,
    )  # fmt: skip
    assert alice("token issue")["user_id"] == corp.listed("users")["alice"]["id"]
    held = openstack(f"role assignment list --names --effective {where}")
    assert {(one["User"], one["Role"]) for one in held} >= {
        (f"alice@{corp.name}", "member"),
        (f"bob@{corp.name}", "reader"),
    }
    with pytest.raises(CommandFailed, match="LDAP does not support write operations"):
        openstack.text(f"user delete --domain {corp.name} bob")
    with pytest.raises(CommandFailed, match="LDAP does not support write operations"):
        openstack.text(f"user create --domain {corp.name} eve")
