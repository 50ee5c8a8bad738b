# SPDX-License-Identifier: Apache-2.0
"""Back ends that several hosts share: a storage whose disks each of them opens by itself.

Such a back end is one place, `KIND:CLUSTER@NAME#NAME`, whoever tells of it, and nobody's host is called so. One of its
hosts, the keeper, is given the orders, as long as it is heard of; where another one follows it, the `term` grows, and
the storage refuses orders of an older one. A volume that a server has is in the care of that server's host.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.block_storage.store import attachments
from cumulet.services.block_storage.store import backends as store
from cumulet.services.block_storage.types import Backend, Volume, is_shared

SILENCE = timedelta(seconds=60)  # how long a keeper may be silent until another host takes its place
FORGOTTEN = timedelta(days=7)  # after which a silent host is none of the back end's any more
CALL_TIME = 60.0
TOO_OLD = "TermTooOld"  # the code of a storage's refusal


def heard(tx: Tx, zone: str, host: str, position: int, said: dict[str, Any]) -> None:
    """A host has said how a shared back end of its is: it is one of its hosts."""
    place, name, now = said["place"], said["name"], clock.utcnow()
    tx.lock(f"block_storage:shared:{place}@{name}")
    have = store.find(tx, place, name)
    before = have.report if have is not None else {}
    hosts = {each: at for each, at in before.get("hosts", {}).items() if now - _moment(at) < FORGOTTEN}
    keeper, term = before.get("keeper", ""), int(before.get("term", 0))
    if keeper != host and (keeper not in hosts or now - _moment(hosts[keeper]) > SILENCE):
        keeper, term = host, _after(term)
    report = {part: said.get(part, {}) for part in ("stats", "capabilities", "settings")}
    report |= {"position": position, "hosts": {**hosts, host: now.isoformat()}, "keeper": keeper, "term": term}
    zone = report["settings"].get("availability_zone") or zone
    if have is None:
        store.add(tx, Backend(place, zone, False, None, report, now, now, name))
    else:
        store.change(tx, place, name, report=report, availability_zone=zone, heard_at=now)


def forget(tx: Tx) -> None:
    """Shared back ends of which nobody has told for long, and on which nothing is, are gone."""
    for one in store.find_all(tx):
        silent = clock.utcnow() - one.heard_at > FORGOTTEN
        if is_shared(one.host) and silent and store.is_empty(tx, one.host, one.name):
            store.remove(tx, one.host, one.name)


def call(
    cloud: Cloud,
    host: str,
    backend: str,
    verb: str,
    body: dict[str, Any],
    *,
    opened: Collection[str] = (),
    by: str = "",
    timeout: float = CALL_TIME,
) -> Any:
    """Give an order about what is at `host@backend`, and wait for the answer.

    `opened` are the volumes that the order may find open: of a shared back end the host that has them open is asked,
    or else the one that `by` names. Raises as `hosts.call`; NotReady where nobody can be asked, Conflict where several
    hosts would have to be.
    """
    if not is_shared(host):
        return cloud.hosts.call(host, verb, body, timeout=timeout)
    found = _get(cloud.db, host, backend)
    who, term = worker(cloud.db, found, opened, by), int(found.report["term"])
    try:
        return cloud.hosts.call(who, verb, {**body, "backend": backend, "term": term}, timeout=timeout)
    except Conflict as error:
        if error.code != TOO_OLD:
            raise
        cloud.db.write(lambda tx: _renew(tx, host, backend, term))
        raise NotReady(error.message) from error


def worker(source: Source, backend: Backend, opened: Collection[str] = (), by: str = "") -> str:
    """The host that an order about these volumes is given to."""
    if by and by in backend.hosts:
        return by
    if opened and not backend.report["capabilities"].get("copies_open"):
        claims = attachments.of_volumes(source, list(opened))
        openers = sorted({one.host for one in claims if one.host} & set(backend.hosts))
        if len(openers) > 1:
            raise Conflict("Several hosts have the volumes open.", code="OpenOnSeveralHosts")
        if openers:
            return openers[0]
    return backend.keeper


def keeper_of(source: Source, host: str, backend: str) -> str:
    """A host, itself; of a shared back end the one that keeps it now."""
    return _get(source, host, backend).keeper if is_shared(host) else host


def check_opens(source: Source, volume: Volume, host: str) -> None:
    """Conflict where servers of the host cannot open the volume of a shared back end as they would have to."""
    found = _get(source, volume.host, volume.backend)
    if host not in found.hosts:
        raise Conflict(f"Host {host} does not reach {found.full_name}.", code="StorageNotReached")
    if volume.multiattach and not found.report["capabilities"]["multiattach"]:
        raise Conflict(f"{found.full_name} takes one writer a volume.", code="MultiattachNotSupported")


def grows_open(source: Source, volume: Volume) -> bool:
    """Whether the volume's storage makes it larger while a server has it, rather than the server's hypervisor."""
    if not is_shared(volume.host):
        return False
    return bool(_get(source, volume.host, volume.backend).report["capabilities"].get("extends_open"))


def _renew(tx: Tx, host: str, backend: str, refused: int) -> None:
    """The storage knows a later term, though nobody has begun one: the database has been brought back from a backup."""
    tx.lock(f"block_storage:shared:{host}@{backend}")
    have = store.find(tx, host, backend)
    if have is not None and have.report["term"] == refused:
        store.change(tx, host, backend, report={**have.report, "term": _after(refused)})


def _after(term: int) -> int:
    """A later one than any that there was, whatever the database has forgotten."""
    return max(term + 1, int(clock.now()))


def _get(source: Source, host: str, backend: str) -> Backend:
    found = store.find(source, host, backend)
    if found is None:
        raise NotReady(f"No host tells of {host}@{backend}.")
    return found


def _moment(said: str) -> datetime:
    return datetime.fromisoformat(said)
