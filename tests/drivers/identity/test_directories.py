# SPDX-License-Identifier: Apache-2.0
"""One suite for every directory: a real OpenLDAP, read in several ways, and the fake, all holding the same people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cumulet.services.identity.drivers.directories import ldap_wire
from cumulet.services.identity.drivers.directories.base import Directory, DirectoryAway, DirectoryGroup, DirectoryUser
from cumulet.services.identity.drivers.directories.fake import FakeDirectory
from cumulet.services.identity.drivers.directories.ldap import LdapDirectory
from cumulet.services.identity.logic.domain_options import OPTIONS
from support.openldap import PASSWORD, READER, SUFFIX, OpenLdap, entry

# The library asks Python itself to compare the host's name, which Python 3.12 has no more; then it has its own.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.match_hostname")

PEOPLE = {"u1": ("alice", True), "u2": ("bob (b*)", True), "u3": ("carol", False), "u,4": ("dave", True)}
TEAMS = {"g1": ("staff", ("u1", "u2", "u,4")), "g2": ("guests", ("u2",))}
USUAL: dict[str, Any] = {"user_enabled_attribute": "employeeType", "user_additional_attribute_mapping": ["o:company"]}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "pages": {"page_size": 2},
    "below": {"query_scope": "sub", "user_tree_dn": SUFFIX, "group_tree_dn": SUFFIX},
    "tls": {"url": "tls"},
    "starttls": {"use_tls": True},
    "unchecked": {"url": "tls", "tls_cacertfile": None, "tls_req_cert": "never"},
    "mask": {"user_enabled_attribute": "employeeNumber", "user_enabled_mask": 2, "user_enabled_default": "512"},
    "inverted": {"user_enabled_attribute": "carLicense", "user_enabled_invert": True},
    "emulated": {"user_enabled_emulation": True, "user_enabled_emulation_dn": f"cn=enabled,ou=Lists,{SUFFIX}"},
    "no pool": {"use_pool": False},
    "second server": {"url": "ldap://127.0.0.1:1,"},
    "by unique id": {"user_id_attribute": "uid", "user_objectclass": "inetOrgPerson"},
}


def dn(local_id: str) -> str:
    return f"cn={local_id.replace(',', chr(92) + ',')},ou=Users,{SUFFIX}"


def ldif() -> str:
    words = entry(SUFFIX, "dcObject organization", dc="example", o="Example")
    words += "".join(
        entry(f"ou={one},{SUFFIX}", "organizationalUnit", ou=one) for one in ("Users", "UserGroups", "Lists")
    )
    for local_id, (name, enabled) in PEOPLE.items():
        words += entry(
            dn(local_id), "inetOrgPerson", cn=local_id, uid=local_id, sn=name, mail=f"{name[0]}@example.org",
            o="Example", description=f"it is {name}", userPassword=f"password of {name}",
            employeeType=str(enabled).upper(), carLicense=str(not enabled).upper(),
            employeeNumber=512 if enabled else 514,
        )  # fmt: skip
    for local_id, (name, members) in TEAMS.items():
        member = (*(dn(one) for one in members), dn("gone"))
        words += entry(f"cn={local_id},ou=UserGroups,{SUFFIX}", "groupOfNames", cn=local_id, ou=name, member=member)
    enabled_members = [dn(one) for one, (_, enabled) in PEOPLE.items() if enabled]
    return words + entry(f"cn=enabled,ou=Lists,{SUFFIX}", "groupOfNames", cn="enabled", member=enabled_members)


@pytest.fixture(scope="module")
def server() -> Iterator[OpenLdap]:
    made = OpenLdap(ldif())
    yield made
    made.close()


def configured(server: OpenLdap, **said: Any) -> LdapDirectory:
    config = {name: option.default for name, option in OPTIONS["ldap"].items()}
    url = {"tls": server.tls_url, None: server.url}.get(said.get("url"), f"{said.get('url')}{server.url}")
    basis = {"suffix": SUFFIX, "user": READER, "password": PASSWORD, "tls_cacertfile": str(server.authority)}
    return LdapDirectory({**config, **basis, **USUAL, **said, "url": url})


@pytest.fixture(params=["fake", *WAYS])
def directory(request: pytest.FixtureRequest, server: OpenLdap) -> Iterator[Directory]:
    made: Directory = filled() if request.param == "fake" else configured(server, **WAYS[request.param])
    yield made
    made.close()


def filled() -> FakeDirectory:
    fake = FakeDirectory()
    for local_id in PEOPLE:
        fake.add_user(person(local_id), f"password of {PEOPLE[local_id][0]}")
    for local_id, (name, members) in TEAMS.items():
        fake.add_group(DirectoryGroup(local_id=local_id, name=name), (*members, "gone"))
    return fake


def person(local_id: str) -> DirectoryUser:
    name, enabled = PEOPLE[local_id]
    return DirectoryUser(
        local_id=local_id, name=name, enabled=enabled, email=f"{name[0]}@example.org", description=f"it is {name}",
        extra={"company": "Example"},
    )  # fmt: skip


def test_users(directory: Directory) -> None:
    assert directory.users() == [person(local_id) for local_id in sorted(PEOPLE)]
    assert directory.users_with(["u2", "gone", "u,4", "u2"]) == [person("u,4"), person("u2")]
    assert directory.users_with([]) == []


def test_one_user(directory: Directory) -> None:
    assert directory.user("u,4") == person("u,4")
    assert directory.user_named("bob (b*)") == person("u2")
    for strange in ("", "*", "u*", "x)(cn=*", "\0"):
        assert directory.user(strange) is None
        assert directory.user_named(strange) is None


def test_groups(directory: Directory) -> None:
    staff, guests = DirectoryGroup(local_id="g1", name="staff"), DirectoryGroup(local_id="g2", name="guests")
    assert directory.groups() == [staff, guests]
    assert directory.group("g1") == staff
    assert directory.group("*") is None
    assert directory.groups_of("u2") == [staff, guests]
    assert directory.groups_of("u,4") == [staff]
    assert directory.groups_of("gone") == []


def test_members(directory: Directory) -> None:
    assert sorted(directory.members("g1")) == sorted(TEAMS["g1"][1])
    assert directory.members("nothing") == []


def test_passwords(directory: Directory) -> None:
    assert directory.authenticate("u1", "password of alice")
    assert directory.authenticate("u3", "password of carol")
    for local_id, secret in (("u1", "wrong"), ("u1", ""), ("gone", ""), ("gone", "password of alice"), ("*", "x")):
        assert not directory.authenticate(local_id, secret)


def test_what_is_closed_does_not_answer(server: OpenLdap) -> None:
    fake = filled()
    fake.close()
    with pytest.raises(DirectoryAway):
        fake.users()


@pytest.mark.parametrize(
    "said",
    [
        {"url": "ldap://127.0.0.1:1,ldap://127.0.0.1:2#"},
        {"password": "wrong"},
        {"url": "tls", "tls_cacertfile": "/etc/ssl/certs/ca-certificates.crt"},
        {"use_tls": True, "tls_cacertfile": "/etc/ssl/certs/ca-certificates.crt"},
    ],
    ids=["nobody listens", "wrong password", "unknown authority", "unknown authority by StartTLS"],
)
def test_who_cannot_be_asked_is_away(server: OpenLdap, said: dict[str, Any]) -> None:
    directory = configured(server, **said)
    if "#" in str(said.get("url")):
        directory._wire._urls = directory._wire._urls[:1]
    with pytest.raises(DirectoryAway):
        directory.users()
    directory.close()


def test_a_filter_and_what_is_ignored(server: OpenLdap) -> None:
    directory = configured(server, user_filter="(sn=alice)", user_attribute_ignore=["email", "enabled", "company"])
    assert [(user.local_id, user.email, dict(user.extra)) for user in directory.users()] == [("u1", None, {})]
    directory.close()


def test_one_that_hangs_sends_callers_away(server: OpenLdap, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = configured(server)
    assert directory.user("u1") is not None
    monkeypatch.setattr(ldap_wire, "PATIENCE", 0.2)
    server.hold()
    try:
        with pytest.raises(DirectoryAway):
            directory.user("u1")
        while directory._wire._room.acquire(blocking=False):
            pass
        with pytest.raises(DirectoryAway):
            directory.user("u1")
    finally:
        server.go_on()
        directory.close()
