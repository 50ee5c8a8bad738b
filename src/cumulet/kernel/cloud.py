# SPDX-License-Identifier: Apache-2.0
"""The assembled machinery that `app.py` hands to handlers, logic, flows and loops. Nothing here is global."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cumulet.kernel.context import Context
from cumulet.kernel.rules import PolicyError

if TYPE_CHECKING:
    from cumulet.kernel.contracts import Contracts
    from cumulet.kernel.db.database import Database
    from cumulet.kernel.db.outbox import Outbox
    from cumulet.kernel.link.controller import HostInfo
    from cumulet.kernel.link.rows import Replica
    from cumulet.kernel.manifest import Manifest
    from cumulet.kernel.policy import Policy
    from cumulet.kernel.saga import Sagas
    from cumulet.kernel.vault import Vault
    from cumulet.settings import Settings

LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Hosts(Protocol):
    """The hosts that are joined to this control plane, whichever replica holds their link (`kernel.link.controller`).

    News of a host (joined, gone, events, its own calls) are heard by one replica: the one that holds its link.
    """

    def call(self, host: str, verb: str, body: dict[str, Any], *, timeout: float = 60.0) -> Any:
        """Ask a host and block for its answer; NotReady while it is away, else the host's own error."""

    def connected(self) -> list[HostInfo]:
        """The hosts that are there now."""

    def known(self) -> list[str]:
        """The names of all hosts of this cloud, there or not, as the database has them: for what none may miss."""

    def is_connected(self, host: str) -> bool:
        """Whether the host is there now; cheap, however many there are."""

    def replicas(self) -> list[Replica]:
        """The replicas of the control plane, this one among them, and whether each lives; cheap."""

    def on_connect(self, fn: Callable[[HostInfo, dict[str, Any]], None]) -> None:
        """Call `fn(host, report)` in a thread whenever a host has joined; the report is its services' whole truth."""

    def on_disconnect(self, fn: Callable[[HostInfo], None]) -> None:
        """Call `fn(host)` in a thread whenever a host's link has broken."""

    def on_replica_gone(self, fn: Callable[[list[str]], None]) -> None:
        """Call `fn(hosts)` in a thread when another replica has ended or begun anew: what it had in mind is lost.

        `hosts` are the names of those whose link this replica holds.
        """

    def on_event(self, name: str, fn: Callable[[str, dict[str, Any]], None]) -> None:
        """Call `fn(host name, body)` in a thread for each such event from a host."""

    def offer(self, verb: str, fn: Callable[[str, dict[str, Any]], Any]) -> None:
        """Answer the hosts' own calls of `verb` with `fn(host name, body)`."""

    def answer(self, verb: str, fn: Callable[[str, dict[str, Any]], Any], *, afar: bool = False) -> None:
        """Answer the calls of `verb` by processes that only ask with `fn(who asks, body)`.

        They are those of this machine and, where it is `afar`, those of hosts that have joined (`HOST/PROCESS`). Nobody
        else can call it, whatever certificate they have.
        """


@dataclass
class Cloud:
    """Everything that a verb of a service may lean on; handed on as the first argument, named `cloud`."""

    settings: Settings
    db: Database
    contracts: Contracts
    outbox: Outbox
    sagas: Sagas
    hosts: Hosts
    services: tuple[Manifest, ...]
    load_policy: Callable[[str], Policy]
    vault: Vault
    _policies: dict[str, Policy] = field(default_factory=dict)
    _kept: dict[type, Any] = field(default_factory=dict)

    def keep(self, kind: type[T]) -> T:
        """This process's one object of `kind`, made when first asked for: where a service remembers across requests."""
        kept: T = self._kept.get(kind) or self._kept.setdefault(kind, kind())
        return kept

    def policy(self, service: str) -> Policy:
        """The rules in force of one service."""
        policy = self._policies.get(service)
        if policy is None:
            policy = self._policies.setdefault(service, self.load_policy(service))
        return policy

    def allows(self, service: str, rule: str, ctx: Context, target: Mapping[str, Any] | None = None) -> bool:
        """Whether `ctx` passes `rule` of `service` on `target` (by default, something of the caller's own)."""
        if target is None:
            target = own(ctx)
        return self.policy(service).allows(rule, target, ctx.credentials())

    def reload_policies(self) -> None:
        """Take over changed policy files."""
        for service, policy in list(self._policies.items()):
            try:
                policy.reload_if_changed()
            except PolicyError as error:
                LOG.error("the changed rules of %s are not used: %s", service, error)


def own(ctx: Context) -> dict[str, Any]:
    """A policy target that belongs to the caller."""
    return {
        "project_id": ctx.project_id,
        "tenant_id": ctx.project_id,
        "user_id": ctx.user_id,
        "domain_id": ctx.domain_id,
    }
