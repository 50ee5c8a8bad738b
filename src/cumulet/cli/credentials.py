# SPDX-License-Identifier: Apache-2.0
"""The files by which clients log in: `clouds.yaml` and `openrc` in the state directory, for its owner alone."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from cumulet.kernel.secrets import Secrets, write_private
from cumulet.settings import Settings

CLOUD = "cumulet"
SYSTEM_CLOUD = "cumulet-system"
ADMIN = "admin"
ADMIN_PASSWORD = "admin_password"  # noqa: S105 - the secret's name
DOMAIN = "Default"
IDENTITY_PATH = "/identity/v3"


class NoCredentials(Exception):
    """The control plane has not made its first user yet."""


def clouds_path(settings: Settings) -> Path:
    """Where `clouds.yaml` is."""
    return settings.state / "clouds.yaml"


def openrc_path(settings: Settings) -> Path:
    """Where `openrc` is."""
    return settings.state / "openrc"


def write(settings: Settings) -> None:
    """Write both files for the admin that the control plane made. Raises NoCredentials where it has not."""
    password = Secrets(settings.state).get(ADMIN_PASSWORD)
    if password is None:
        raise NoCredentials("the control plane has made no admin yet")
    user = {
        "auth_url": settings.control_url + IDENTITY_PATH,
        "username": ADMIN,
        "password": password,
        "user_domain_name": DOMAIN,
    }
    project = {**user, "project_name": ADMIN, "project_domain_name": DOMAIN}
    clouds = {
        CLOUD: _cloud(settings, project),
        SYSTEM_CLOUD: _cloud(settings, {**user, "system_scope": "all"}),
    }
    # JSON is YAML too.
    _keep(clouds_path(settings), json.dumps({"clouds": clouds}, indent=2) + "\n")
    variables = {f"OS_{name.upper()}": value for name, value in project.items()}
    variables |= {"OS_REGION_NAME": settings.region, "OS_INTERFACE": "public", "OS_IDENTITY_API_VERSION": "3"}
    _keep(openrc_path(settings), "".join(f"export {name}={shlex.quote(text)}\n" for name, text in variables.items()))


def _cloud(settings: Settings, auth: dict[str, str]) -> dict[str, Any]:
    return {"auth": auth, "region_name": settings.region, "interface": "public", "identity_api_version": 3}


def _keep(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        write_private(path, text)
