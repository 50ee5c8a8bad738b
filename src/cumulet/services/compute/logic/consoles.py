# SPDX-License-Identifier: Apache-2.0
"""Remote consoles: who may open which, by tokens of which only the hash is kept.

A token opens one connection; a SPICE one several, for its client opens one for each of its channels.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound, NotReady
from cumulet.services.compute.contract import ConsoleWay
from cumulet.services.compute.logic import servers
from cumulet.services.compute.store import consoles as store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import ConsoleToken, Display, Server, TaskState, VmState

LOG = logging.getLogger(__name__)

ANSWER = 20.0  # seconds that a host may take to say what consoles a server has
MOST_CHANNELS = 16  # connections of one SPICE client
PROXY = "console"  # where the data process serves consoles, below its own address

_BUSY = (TaskState.DELETING, TaskState.MIGRATING)  # no console is opened of what is about to leave

# The displays that a protocol opens, and the types of clients that it is opened with; None: whatever is asked for.
_PROTOCOLS: dict[str, tuple[Display, tuple[str, ...] | None]] = {
    "vnc": ("vnc", ("novnc",)),
    "spice": ("spice", ("spice-html5",)),
    "serial": ("serial", None),
}


def create(cloud: Cloud, server: Server, protocol: str, type_: str) -> str:
    """The URL that opens one console of the server; it holds a new token.

    Conflict where the server is on no host yet, or its host is away; Invalid for what is not offered.
    """
    if not server.host or server.state is VmState.BUILDING:
        raise _not_ready(server)
    if protocol not in _PROTOCOLS or type_ == "spice-direct":
        raise _unavailable(type_)
    if server.task_state in _BUSY:
        raise servers.invalid_state(server, f"get_{protocol}_console", "task_state", str(server.task_state))
    display, types = _PROTOCOLS[protocol]
    way = _ask(cloud, server)
    if display not in way["displays"]:
        raise _unavailable(type_)
    if types is not None and type_ not in types:
        raise Invalid(f"Invalid console type {type_}", code="ConsoleTypeInvalid")
    token, now = ids.new_uuid(), clock.utcnow()
    row = ConsoleToken(
        hash=_hash(token),
        server_id=server.id,
        display=display,
        host=server.host,
        path=str(way["path"]),
        address=str(way["address"]),
        port=int(way["port"]),
        uses=0,
        created_at=now,
        expires_at=now + timedelta(seconds=cloud.settings.compute.console_token_ttl),
    )
    cloud.db.write(lambda tx: store.add(tx, row))
    return _url(cloud.settings.data_url, display, token)


def find(source: Source, token: str) -> ConsoleToken:
    """What a token opens, without using it. NotFound where it opens nothing any more."""
    found = store.find(source, _hash(token))
    if found is None or found.expires_at <= clock.utcnow() or found.uses >= _most(found.display):
        raise NotFound("Token not found")
    return found


def admit(cloud: Cloud, token: str, display: str) -> ConsoleWay:
    """Use a token: where the console is that it opens. NotFound where it opens no such console (any more)."""

    def write(tx: Tx) -> ConsoleToken | None:
        hashed, now = _hash(token), clock.utcnow()
        row = store.find(tx, hashed)
        if row is None or row.display != display or not store.use(tx, hashed, _most(row.display), now):
            return None
        server = servers_store.find(tx, row.server_id)
        return row if server is not None and server.host == row.host else None

    row = cloud.db.write(write)
    if row is None:
        raise NotFound("the token opens no console")
    LOG.info("a token for the %s console of server %s was used", row.display, row.server_id)
    return ConsoleWay(
        server_id=row.server_id, display=row.display, host=row.host, path=row.path, address=row.address, port=row.port
    )


def forget(tx: Tx, server_id: str) -> None:
    """Nothing opens the server's consoles from now on."""
    store.remove_of(tx, server_id)


def forget_expired(cloud: Cloud) -> None:
    """Remove the rows of tokens that open nothing any more."""
    cloud.db.write(lambda tx: store.remove_expired(tx, clock.utcnow()))


def certificate(cloud: Cloud, host: str, body: dict[str, Any]) -> dict[str, str]:
    """A certificate for the door of `host`, for the key of the signing request `request`. Raises Invalid."""
    # Loaded late: a cloud of one host never needs it.
    from cumulet.kernel.link.authority import REPLICA_LIFETIME, Authority

    authority = Authority(cloud.vault)
    signed = authority.sign_door(host, str(body.get("request", "")), REPLICA_LIFETIME)
    return {"certificate": signed, "authority": authority.certificate}


def _ask(cloud: Cloud, server: Server) -> dict[str, Any]:
    try:
        found: dict[str, Any] = cloud.hosts.call(server.host, "server.consoles", {"id": server.id}, timeout=ANSWER)
    except NotReady:
        raise _not_ready(server) from None
    return found


def _url(base: str, display: Display, token: str) -> str:
    """As noVNC, spice-html5 and programs for serial consoles understand them; `path` is where the two connect."""
    root = urlsplit(base)
    if display == "serial":
        scheme = "wss" if root.scheme == "https" else "ws"
        return f"{scheme}://{root.netloc}{root.path}/{PROXY}/serial?token={token}"
    page = "novnc/vnc_lite.html" if display == "vnc" else "spice/spice_auto.html"
    path = f"{root.path}/{PROXY}/{display}?token={token}".lstrip("/")
    return f"{base}/{PROXY}/{page}?path={quote(path, safe='')}"


def _most(display: str) -> int:
    return MOST_CHANNELS if display == "spice" else 1


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _not_ready(server: Server) -> Conflict:
    return Conflict(f"Instance {server.id} is not ready", code="InstanceNotReady")


def _unavailable(type_: str) -> Invalid:
    return Invalid(f"Unavailable console type {type_}.", code="ConsoleTypeUnavailable")
