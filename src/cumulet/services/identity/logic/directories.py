# SPDX-License-Identifier: Apache-2.0
"""Which domains have their users in a directory, and the connections to these."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Forbidden, Unsupported
from cumulet.services.identity.drivers.directories.base import Directory
from cumulet.services.identity.logic import domain_configs
from cumulet.services.identity.logic.domain_options import IDENTITY, LDAP
from cumulet.services.identity.store import domain_options


class Directories:
    """This process's directories by domain; `make` makes one of its options, anew when they change."""

    def __init__(self) -> None:
        self.make: Callable[[Mapping[str, Any]], Directory] = _ldap
        self._made: dict[str, tuple[Mapping[str, Any], Directory]] = {}
        self._lock = threading.Lock()

    def of(self, domain_id: str, options: Mapping[str, Any]) -> Directory:
        with self._lock:
            before = self._made.get(domain_id)
            if before is not None and before[0] == options:
                return before[1]
            directory = self.make(options)
            self._made[domain_id] = (options, directory)
        if before is not None:
            before[1].close()
        return directory


def of(cloud: Cloud, domain_id: str) -> Directory | None:
    """The directory of a domain; None where its users are in the database."""
    if not is_outside(cloud.db, domain_id):
        return None
    return cloud.keep(Directories).of(domain_id, domain_configs.whole(cloud, domain_id)[LDAP])


def is_outside(source: Source, domain_id: str) -> bool:
    return any(one.value == LDAP for one in domain_options.find_all(source, domain_id, IDENTITY, "driver"))


def check_writable(source: Source, domain_id: str) -> None:
    """Forbidden for the users and groups of a directory: it is only read."""
    if is_outside(source, domain_id):
        raise Forbidden(
            "You are not authorized to perform the requested action: LDAP does not support write operations."
        )


def _ldap(options: Mapping[str, Any]) -> Directory:
    try:
        # Where no domain has a directory nobody waits for its library.
        from cumulet.services.identity.drivers.directories.ldap import LdapDirectory
    except ImportError:
        raise Unsupported("Directories need the extra 'ldap' to be installed.") from None
    return LdapDirectory(options)
