# SPDX-License-Identifier: Apache-2.0
"""`cumulet identity federation` and `mapping-purge`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cumulet.cli import main
from cumulet.kernel.cloud import Cloud
from cumulet.services.identity.drivers.openid_connect import OpenIdConnect
from cumulet.services.identity.logic import federation_sources, saml_assertions


@pytest.fixture
def said(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    # The tables of the other services are not there.
    monkeypatch.setattr("cumulet.kernel.db.migrate.pending", lambda *words: [])

    def say(*words: str) -> tuple[int, str]:
        status = main(["--state", str(cloud.settings.state), "identity", *words])
        return status, capsys.readouterr().out

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
    path.write_text("<x/>")
    _, text = said("federation", "saml", "there", "saml2", "--metadata", str(path))
    assert "nothing is changed" in text


def test_what_is_forgotten_must_be_said(said) -> None:
    assert "say --all" in said("mapping-purge")[1]
    assert "say --all" in said("mapping-purge", "--all", "--type", "user")[1]
    assert said("mapping-purge", "--all") == (0, "0 entries are forgotten\n")
    assert "Could not find domain" in said("mapping-purge", "--domain-name", "nowhere")[1]
