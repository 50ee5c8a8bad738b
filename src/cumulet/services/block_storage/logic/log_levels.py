# SPDX-License-Identifier: Apache-2.0
"""The log levels of this replica's process and of the hosts' agents, asked and changed while they run."""

from __future__ import annotations

import logging
from typing import Any

from cumulet.kernel import log_levels
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError
from cumulet.services.block_storage.logic import services
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.logic.services import API, BACKUP, SCHEDULER, VOLUME, Service

LOG = logging.getLogger(__name__)

BINARIES = (SCHEDULER, VOLUME, BACKUP, API)
ASKING = 10.0  # seconds that a host may take to answer


def change(cloud: Cloud, binary: str, server: str, prefix: str, level: str) -> None:
    """Set the level of the loggers with the prefix, in all that is meant and up."""
    if level.upper() not in log_levels.LEVELS:
        raise invalid_input(f"{level} is not a valid log level.")
    own, hosts = _meant(cloud, binary, server)
    if API in own or any(each.binary == SCHEDULER for each in hosts):
        log_levels.change(level, prefix)
    for host in {each.agent: None for each in hosts if each.agent}:
        _ask(cloud, host, "volume.set_log_levels", {"prefix": prefix, "level": level})


def found(cloud: Cloud, binary: str, server: str, prefix: str) -> list[dict[str, Any]]:
    """The levels of each that is meant and up, by logger."""
    own, listed = _meant(cloud, binary, server)
    rows = []
    if API in own and server in ("", cloud.settings.host):
        rows.append({"host": cloud.settings.host, "binary": API, "levels": log_levels.found(prefix)})
    said: dict[str, dict[str, str]] = {}
    for each in listed:
        if not each.agent:
            levels = log_levels.found(prefix)
        else:
            if each.agent not in said:
                said[each.agent] = _ask(cloud, each.agent, "volume.log_levels", {"prefix": prefix})
            levels = said[each.agent]
        rows.append({"host": each.host, "binary": each.binary, "levels": levels})
    return rows


def _meant(cloud: Cloud, binary: str, server: str) -> tuple[tuple[str, ...], list[Service]]:
    binaries = BINARIES if binary in ("", "*") else (binary,)
    if binaries == (API,):
        return binaries, []
    found = [each for each in services.find(cloud, host=server) if each.is_up and each.binary in binaries]
    return binaries, found


def _ask(cloud: Cloud, host: str, verb: str, body: dict[str, str]) -> dict[str, str]:
    """What the host answers; nothing where it is away, or of the release before."""
    try:
        answer = cloud.hosts.call(host, verb, body, timeout=ASKING)
    except CumuletError as error:
        LOG.warning("host %s does not say or set its log levels: %s", host, error.message)
        return {}
    return {str(name): str(level) for name, level in (answer or {}).get("levels", {}).items()}
