# SPDX-License-Identifier: Apache-2.0
"""What users of identity's extensions type: the unmodified `openstack` command."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.openstack_command import is_gone, names

pytestmark = pytest.mark.clients


def test_consumer(openstack):
    """From a consumer to what it was lent, in the order of the protocol (OAuth 1)."""
    made = openstack("consumer create --description asks")
    assert made["secret"]
    assert made["id"] in names(openstack("consumer list"), "ID")
    openstack.text(f"consumer set --description 'asks again' {made['id']}")
    assert openstack(f"consumer show {made['id']}")["description"] == "asks again"
    signed = f"--consumer-key {made['id']} --consumer-secret {made['secret']}"
    asked = openstack(f"request token create {signed} --project admin --domain default")
    agreed = openstack(f"request token authorize --request-key {asked['id']} --role reader")
    words = f"--request-key {asked['id']} --request-secret {asked['secret']} --verifier {agreed['oauth_verifier']}"
    lent = openstack(f"access token create {signed} {words}")
    assert lent["id"] != asked["id"]
    openstack.text(f"consumer delete {made['id']}")
    assert made["id"] not in names(openstack("consumer list"), "ID")


def test_ec2_credentials(openstack):
    made = openstack("ec2 credentials create")
    assert openstack(f"ec2 credentials show {made['access']}")["secret"] == made["secret"]
    assert made["access"] in names(openstack("ec2 credentials list"), "Access")
    openstack.text(f"ec2 credentials delete {made['access']}")
    assert is_gone(openstack, f"ec2 credentials show {made['access']}")


def test_credential(openstack):
    made = openstack("credential create --type cert admin hush")
    assert openstack(f"credential show {made['id']}")["blob"] == "hush"
    assert made["id"] in names(openstack("credential list --type cert"), "ID")
    openstack.text(f"credential delete {made['id']}")
    assert is_gone(openstack, f"credential show {made['id']}")


def test_endpoint_group(openstack, tmp_path: Path):
    """A project sees what it is limited to."""
    openstack("project create cli-limited")
    service = openstack("service create --name cli-filtered cli-filtered")["id"]
    endpoint = openstack(f"endpoint create {service} public http://filtered.test")["id"]
    filters = tmp_path / "filters.json"
    filters.write_text(f'{{"interface": "public", "service_id": "{service}"}}')
    group = openstack(f"endpoint group create --description some cli-endpoints {filters}")["id"]
    assert group in names(openstack("endpoint group list"), "ID")
    openstack.text(f"endpoint group set --name cli-others --filters {filters} {group}")
    assert openstack(f"endpoint group show {group}")["name"] == "cli-others"
    openstack.text(f"endpoint group add project {group} cli-limited")
    openstack.text(f"endpoint add project {endpoint} cli-limited")
    assert [row["Name"] for row in openstack(f"endpoint group list --endpointgroup {group}")] == ["cli-limited"]
    assert names(openstack("endpoint list --project cli-limited"), "ID") == [endpoint]
    openstack.text(f"endpoint remove project {endpoint} cli-limited")
    openstack.text(f"endpoint group remove project {group} cli-limited")
    openstack.text(f"endpoint group delete {group}")
    openstack.text(f"service delete {service}")
    openstack.text("project delete cli-limited")


def test_policy(openstack, tmp_path: Path):
    rules = tmp_path / "rules"
    rules.write_text("anything")
    made = openstack(f"policy create --type text/plain {rules}")
    assert openstack(f"policy show {made['id']}")["rules"] == "anything"
    openstack.text(f"policy set --type text/x-other {made['id']}")
    assert made["id"] in names(openstack("policy list"), "ID")
    openstack.text(f"policy delete {made['id']}")
    assert made["id"] not in names(openstack("policy list"), "ID")


def test_trust(openstack):
    openstack("user create --password 'correct horse' cli-trustee")
    made = openstack("trust create --project admin --role reader --impersonate admin cli-trustee")
    assert made["is_impersonation"] is True
    assert made["id"] in names(openstack("trust list"), "ID")
    assert openstack(f"trust show {made['id']}")["roles"][0]["name"] == "reader"
    openstack.text(f"trust delete {made['id']}")
    assert is_gone(openstack, f"trust show {made['id']}")
    openstack.text("user delete cli-trustee")


def test_access_rule(openstack):
    rules = """'[{"service": "compute", "method": "GET", "path": "/v2.1/servers"}]'"""
    openstack(f"application credential create --role reader --access-rules {rules} cli-robot")
    (rule,) = [row for row in openstack("access rule list") if row["Path"] == "/v2.1/servers"]
    assert openstack(f"access rule show {rule['ID']}")["Method"] == "GET"
    openstack.text("application credential delete cli-robot")
    openstack.text(f"access rule delete {rule['ID']}")
    assert is_gone(openstack, f"access rule show {rule['ID']}")
