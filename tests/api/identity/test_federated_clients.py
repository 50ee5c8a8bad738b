# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own client library logs in by an OpenID Connect provider (`v3oidcpassword`)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from cumulet.services.identity.drivers.openid_connect import OpenIdConnect
from cumulet.services.identity.logic import federation_sources
from support.cloud import RunningCloud
from support.people import environment

PROGRAM = Path(__file__).parents[2] / "support" / "openid_provider.py"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    environ = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    command = [sys.executable, "-W", "ignore", str(PROGRAM)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ) as child:
        assert child.stdout is not None
        try:
            yield f"http://127.0.0.1:{child.stdout.readline().strip()}"
        finally:
            child.terminate()
            child.wait(30)


def test_the_library_logs_in_and_scopes(cloud: RunningCloud, issuer: str) -> None:
    people = environment(cloud)
    name = f"idp-{people['SUFFIX']}"
    headers = {"x-auth-token": people["ADMIN_TOKEN"]}
    base = f"{cloud.control_url}/identity/v3"
    project = {"name": f"home-{people['SUFFIX']}", "roles": [{"name": "member"}]}
    rules = [{"local": [{"user": {"name": "{0}"}}, {"projects": [project]}], "remote": [{"type": "sub"}]}]
    where = f"{base}/OS-FEDERATION/identity_providers/{name}"
    try:
        for url, body in (
            (where, {"identity_provider": {"enabled": True}}),
            (f"{base}/OS-FEDERATION/mappings/{name}", {"mapping": {"rules": rules}}),
            (f"{where}/protocols/openid", {"protocol": {"mapping_id": name}}),
        ):
            assert httpx.put(url, json=body, headers=headers).status_code == 201
        source = OpenIdConnect(issuer=issuer, client_id="cloud", client_secret="secret")
        federation_sources.put(cloud.control.cloud.vault, name, "openid", source)
        domain_id = httpx.get(where, headers=headers).json()["identity_provider"]["domain_id"]

        def log_in(password: str) -> v3.OidcPassword:
            return v3.OidcPassword(
                auth_url=base,
                identity_provider=name,
                protocol="openid",
                client_id="cloud",
                client_secret="secret",
                discovery_endpoint=f"{issuer}/.well-known/openid-configuration",
                username="bob",
                password=password,
                project_name=project["name"],
                project_domain_id=domain_id,
            )

        connection = session.Session(auth=log_in("password"))
        access = connection.auth.get_access(connection)
        assert access.project_name == project["name"]
        assert access.role_names
        with pytest.raises(exceptions.ClientException):
            session.Session(auth=log_in("wrong")).get_token()
    finally:
        httpx.delete(where, headers=headers)
        httpx.delete(f"{base}/OS-FEDERATION/mappings/{name}", headers=headers)
        for domain in httpx.get(f"{base}/domains", headers=headers).json()["domains"]:
            if domain["description"].endswith(f": {name}"):
                httpx.patch(f"{base}/domains/{domain['id']}", json={"domain": {"enabled": False}}, headers=headers)
                httpx.delete(f"{base}/domains/{domain['id']}", headers=headers)
