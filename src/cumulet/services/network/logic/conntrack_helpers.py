# SPDX-License-Identifier: Apache-2.0
"""What can be done with conntrack helpers."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import common
from cumulet.services.network.types import Router
from cumulet.services.network.types.conntrack_helpers import ALLOWED, ConntrackHelper

_PLAIN = ("protocol", "port", "helper")


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> ConntrackHelper:
    """Let a router read along at a port."""
    now = clock.utcnow()
    made = ConntrackHelper(
        id=ids.new_uuid(),
        router_id=values["router_id"],
        protocol=values["protocol"],
        port=values["port"],
        helper=values["helper"],
        revision_number=1,
        created_at=now,
        updated_at=now,
    )
    _check(tx, made)
    common.add(tx, made)
    common.touch(tx, Router, made.router_id)
    return made


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> ConntrackHelper:
    """Change what is read along, or where."""
    old = access.must(tx, ConntrackHelper, key)
    changes = {name: values[name] for name in _PLAIN if name in values}
    _check(tx, msgspec.structs.replace(old, **changes))
    common.change(tx, ConntrackHelper, key, changes)
    common.touch(tx, Router, old.router_id)
    return access.must(tx, ConntrackHelper, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    gone = access.must(tx, ConntrackHelper, key)
    common.remove(tx, ConntrackHelper, [key])
    common.touch(tx, Router, gone.router_id)


def _check(tx: Tx, wanted: ConntrackHelper) -> None:
    """There is such a helper, for this protocol, and the router has it not yet."""
    if wanted.helper not in ALLOWED:
        raise fault("ConntrackHelperNotAllowed", helper=wanted.helper)
    if wanted.protocol not in ALLOWED[wanted.helper]:
        supported = ", ".join(ALLOWED[wanted.helper])
        raise fault("InvalidProtocolForHelper", helper=wanted.helper, protocol=wanted.protocol, supported=supported)
    words = {"router_id": wanted.router_id, "protocol": wanted.protocol, "port": wanted.port, "helper": wanted.helper}
    others = common.find_all(tx, ConntrackHelper, **{name: [value] for name, value in words.items()})
    if any(other.id != wanted.id for other in others):
        reason = "A duplicate conntrack helper entry with same attributes already exists, conflicting values are"
        raise bad("conntrack_helper", f"{reason} {words}")
