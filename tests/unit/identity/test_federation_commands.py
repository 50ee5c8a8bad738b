# SPDX-License-Identifier: Apache-2.0
"""`cumulet identity federation` and `mapping-purge`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cumulet.cli import main
from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.services.identity.drivers.openid_connect import OpenIdConnect
from cumulet.services.identity.logic import federation_sources, saml_assertions
from cumulet.services.identity.store import assignments, directory_entries, groups, projects, revocations, roles, users
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import SYSTEM_ID, Actor, Assignment, DirectoryEntry, Group, Project, Target, User


@pytest.fixture
def said(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    # The tables of the other services are not there.
    monkeypatch.setattr("cumulet.kernel.db.migrate.pending", lambda *words: [])

    def say(*words: str) -> tuple[int, str]:
        status = main(["--state", str(cloud.settings.state), "identity", *words])
        return status, capsys.readouterr().out

    return say


@pytest.fixture
def refused(cloud: Cloud, said, capsys: pytest.CaptureFixture[str]):
    """What is said of a use that must be refused."""

    def say(*words: str) -> str:
        status = main(["--state", str(cloud.settings.state), "identity", *words])
        told = capsys.readouterr()
        assert (status, told.out) == (1, "")
        return told.err

    return say


def test_a_secret_is_taken_and_not_told(cloud: Cloud, said, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush hush\n")
    words = ("--issuer", "https://a", "--client-id", "cloud", "--secret-file", str(tmp_path / "secret"))
    status, text = said("federation", "openid", "company", "openid", *words, "--audience", "other", "--introspect")
    assert status == 0
    assert "hush" not in text
    assert "issuer: https://a" in text
    source = federation_sources.find(cloud, "company", "openid")
    assert source == OpenIdConnect(
        issuer="https://a", client_id="cloud", client_secret="hush hush", audiences=("other",), introspect=True
    )
    assert said("federation", "show", "company", "openid") == (0, text)
    assert said("federation", "forget", "company", "openid") == (0, "forgotten\n")
    assert said("federation", "show", "company", "openid") == (0, "nothing is said of it\n")


def test_metadata_are_read(cloud: Cloud, said, tmp_path: Path) -> None:
    path = tmp_path / "idp.xml"
    path.write_bytes(saml_assertions.metadata(cloud))
    _, text = said("federation", "saml", "there", "saml2", "--metadata", str(path), "--unsolicited")
    assert "certificates: 1" in text
    assert "unsolicited: True" in text


def test_what_cannot_be_read_changes_nothing(cloud: Cloud, refused, said, tmp_path: Path) -> None:
    words = ("--issuer", "https://a", "--client-id", "cloud")
    said("federation", "openid", "company", "openid", *words)
    before = federation_sources.find(cloud, "company", "openid")
    path = tmp_path / "file"
    for content in (b"<x/>", b"\xff\xfe\xff", None):
        path.unlink() if content is None else path.write_bytes(content)
        assert "nothing is changed" in refused("federation", "saml", "company", "openid", "--metadata", str(path))
        if content != b"<x/>":
            secret = ("--secret-file", str(path))
            assert "nothing is changed" in refused("federation", "openid", "company", "openid", *words, *secret)
    assert federation_sources.find(cloud, "company", "openid") == before


@pytest.fixture
def directories(cloud: Cloud) -> dict[str, str]:
    """Two domains with one user and one group each that directories told of; the public ids by `<kind> <domain>`."""
    made: dict[str, str] = {}
    role = roles.find_all(cloud.db)[0]

    def write(tx: Tx) -> None:
        for place in ("here", "there"):
            domain = Project(ids.new_hex(), place, None, None, "", True, True, {}, {})
            projects.add(tx, domain)
            user = User(ids.new_hex(), "u", domain.id, None, True, {}, {}, clock.utcnow())
            group = Group(ids.new_hex(), "g", domain.id, "", {})
            users.add(tx, user)
            groups.add(tx, group)
            groups.join(tx, group.id, user.id)
            for kind, public_id in (("user", user.id), ("group", group.id)):
                entry = DirectoryEntry(public_id, domain.id, kind, f"local {kind}", clock.utcnow())
                directory_entries.put(tx, entry)
                given = Assignment(Actor(kind), public_id, Target.SYSTEM, SYSTEM_ID, role.id, False)
                assignments.add(tx, given)
                made[f"{kind} {place}"] = public_id

    cloud.db.write(write)
    return made


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (["--all"], {"user here", "group here", "user there", "group there"}),
        (["--domain-name", "here"], {"user here", "group here"}),
        (["--type", "group"], {"group here", "group there"}),
        (["--local-id", "local user"], {"user here", "user there"}),
        (["--domain-name", "there", "--local-id", "local user"], {"user there"}),
        (["--domain-name", "there", "--type", "user"], {"user there"}),
        (["--public-id", "{user here}"], {"user here"}),
        (["--public-id", "{user here}", "--type", "group"], set()),
        (["--local-id", "nobody"], set()),
    ],
)
def test_directories_are_forgotten(cloud: Cloud, said, directories: dict[str, str], words: list[str], gone) -> None:
    native = users.find_all(cloud.db, [Filter("name", "admin")])
    epoch = revocations.epoch_now(cloud.db)
    grants = assignments.find_all(cloud.db)
    spoken = [word.format_map(directories) for word in words]
    assert said("mapping-purge", *spoken) == (0, f"{len(gone)} entries are forgotten\n")
    left = {entry.id for entry in directory_entries.find_all(cloud.db)}
    assert left == {public_id for name, public_id in directories.items() if name not in gone}
    for name, public_id in directories.items():
        find = users.find if name.startswith("user") else groups.find
        assert (find(cloud.db, public_id) is None) is (name in gone)
    assert users.find_all(cloud.db, [Filter("name", "admin")]) == native
    assert assignments.find_all(cloud.db) == grants, "who comes back has the same roles"
    assert (revocations.epoch_now(cloud.db) > epoch) is bool(gone)
    void = {one.user_id for one in revocations.find_all(cloud.db)}
    assert void == {directories[name] for name in gone if name.startswith("user")}


def test_what_is_forgotten_must_be_said(refused, said, directories: dict[str, str]) -> None:
    assert "say --all" in refused("mapping-purge")
    assert "say --all" in refused("mapping-purge", "--all", "--type", "user")
    assert "Could not find domain" in refused("mapping-purge", "--domain-name", "nowhere")
    assert said("mapping-purge", "--all") == (0, "4 entries are forgotten\n")
    assert said("mapping-purge", "--all") == (0, "0 entries are forgotten\n")
