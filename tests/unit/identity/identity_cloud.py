# SPDX-License-Identifier: Apache-2.0
"""An identity service without HTTP: a database, keys, and what a new cloud begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cumulet.app import SERVICES, App
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import migrate
from cumulet.kernel.manifest import read
from cumulet.services.identity import bootstrap
from cumulet.services.identity.store import assignments, endpoints, projects, roles, services, users
from cumulet.settings import load


def make_cloud(state: Path, port: int = 8700) -> Cloud:
    """A cloud of the identity service alone, neither migrated nor started."""
    overrides = {"state": str(state), "identity.bcrypt_rounds": "4", "control.port": str(port)}
    app = App(load(environ={}, overrides=overrides), "control")
    app.cloud.services = (read(SERVICES / "identity"),)
    return app.cloud


def made_and_filled(state: Path) -> Cloud:
    """The same with its tables and first rows."""
    cloud = make_cloud(state)
    migrate.migrate(cloud.db, {"identity": SERVICES / "identity" / "migrations"})
    bootstrap.run(cloud)
    return cloud


def everything(cloud: Cloud) -> list[Any]:
    """All rows that a start could touch."""
    stores = (projects, users, roles, services, endpoints, assignments)
    return [store.find_all(cloud.db) for store in stores]
