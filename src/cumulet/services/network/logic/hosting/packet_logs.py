# SPDX-License-Identifier: Apache-2.0
"""Which packets a host writes down."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic.hosting.base import Concern, Feature, Snapshot
from cumulet.services.network.store import common, lookups
from cumulet.services.network.store import packet_logs as store
from cumulet.services.network.types import HostState, Port, PortState
from cumulet.services.network.types.packet_logs import PacketLog, PacketLogState

_LOGS, _PROJECTS = "packet_logs", "packet_log_projects"


def _concern(source: Source, keys: set[str]) -> set[str]:
    logs = list(common.by_id(source, PacketLog, keys).values())
    ports = common.by_id(source, Port, {log.target_id for log in logs if log.target_id is not None})
    groups = {log.resource_id for log in logs if log.resource_id is not None and log.target_id is None}
    projects = {log.project_id for log in logs if log.resource_id is None and log.target_id is None}
    hosts = {port.host for port in ports.values()} | lookups.hosts_of_members(source, groups)
    return (hosts | (store.hosts_of_projects(source, projects) if projects else set())) - {""}


class PacketLogs(Feature):
    """Ports' `logs`."""

    concerns: Mapping[type, Concern] = {PacketLog: _concern}

    def take(self, source: Source, rows: Snapshot) -> None:
        ports = [port.id for port in rows.bound]
        logs = store.kept_of(source, ports, rows.rules) if ports else []
        if logs:
            rows.more[_LOGS] = logs
            rows.more[_PROJECTS] = store.projects_of(source, ports)

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        logs: list[PacketLog] = rows.more.get(_LOGS, [])
        if not logs:
            return state
        projects: dict[str, str] = rows.more[_PROJECTS]
        ports = [
            msgspec.structs.replace(port, logs=[_state(log) for log in logs if _is_of(log, port, projects)])
            if port.security
            else port
            for port in state.ports
        ]
        return msgspec.structs.replace(state, ports=ports)


def _is_of(log: PacketLog, port: PortState, projects: Mapping[str, str]) -> bool:
    if log.target_id is None and log.resource_id is None:
        return projects.get(port.id) == log.project_id
    return log.target_id in (None, port.id) and (log.resource_id is None or log.resource_id in port.groups)


def _state(log: PacketLog) -> PacketLogState:
    return PacketLogState(id=log.id, project_id=log.project_id, event=log.event, group=log.resource_id or "")
