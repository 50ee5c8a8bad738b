# SPDX-License-Identifier: Apache-2.0
"""What an identity service cannot be without: a domain, an administrator, the standard roles, the catalogue.

The catalogue follows the settings at every start; everything else is made at the first one and then left to its owners.
"""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.manifest import Manifest
from cumulet.kernel.secrets import Secrets
from cumulet.services.identity.logic import catalog, first_rows, keys, passwords


def run(cloud: Cloud) -> None:
    """Make what is missing; the administrator's password is generated and told in `secrets.toml` alone."""
    for ring in keys.FORMER_FOLDERS:
        keys.take_over(cloud.vault, ring, cloud.settings.state)
    for ring in keys.ALL:
        keys.ensure(cloud.vault, ring)
    hashed = None if first_rows.are_there(cloud.db) else _new_administrator(cloud)

    def write(tx: Tx) -> None:
        if hashed is not None and not first_rows.are_there(tx):
            first_rows.make(tx, hashed)
        catalog.follow(tx, cloud.settings.region, _entries(cloud))

    cloud.db.write(write)


def _new_administrator(cloud: Cloud) -> str:
    """The hash of the administrator's password, which is generated unless the operator has put one into the file."""
    secret = Secrets(cloud.settings.state).get_or_make(first_rows.ADMIN_PASSWORD)
    return passwords.make_hash(secret, cloud.settings.identity)


def _entries(cloud: Cloud) -> list[catalog.Entry]:
    return [
        catalog.Entry(
            type=said.type,
            name=said.name,
            url=f"{origin}/{service.root}{said.path}",
            admin_url=origin if said.bare_admin else "",
        )
        for service in cloud.services
        for said in service.catalog
        if (origin := _origin(cloud, service))
    ]


def _origin(cloud: Cloud, service: Manifest) -> str:
    """Where the service is; "" for one that is not to be told of."""
    settings = cloud.settings
    if service.runs == "objects":
        return settings.objects_url if settings.object_store.enabled else ""
    return settings.data_url if service.runs == "data" else settings.control_url
