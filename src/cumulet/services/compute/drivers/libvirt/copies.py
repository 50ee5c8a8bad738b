# SPDX-License-Identifier: Apache-2.0
"""Copies of the disks of a running domain, all as of one moment: libvirt's backups, to files that are there already."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cumulet.kernel.errors import Conflict
from cumulet.kernel.moment import Moment
from cumulet.services.compute.drivers.libvirt import library, plugged
from cumulet.services.compute.drivers.libvirt.connection import Connection, Heard
from cumulet.services.compute.drivers.libvirt.library import LibvirtError
from cumulet.services.compute.drivers.libvirt.running import RunningDomain
from cumulet.services.compute.drivers.libvirt.words import element, write
from cumulet.services.compute.types import PowerState

TIMEOUT = 3600.0
Target = tuple[Path, str]  # a file and its format


def copy(
    connection: Connection,
    domain: RunningDomain,
    server_id: str,
    targets: Mapping[str, Target],
    begun: Callable[[], None] = lambda: None,
    moment: Moment | None = None,
) -> None:
    """Copy disks, by alias, while the guest writes on; `begun` hears when the moment is over. Conflict on failure.

    For a `moment` that is shared with others the domain is paused.
    """
    there = domain.description()
    for alias in targets:
        plugged.check_plain(there, alias)
    names = plugged.targets(there)
    wanted = {names[alias]: target for alias, target in targets.items()}
    with connection.listening(server_id) as heard:
        with _standing_still(domain, moment):
            try:
                domain.begin_backup(_backup(names.values(), wanted))
            except LibvirtError as error:
                if error.code != library.ERR_OPERATION_INVALID:
                    raise
                # An agent that was killed has left a copy of its own under way.
                domain.abort_job()
                _end(heard)
                domain.begin_backup(_backup(names.values(), wanted))
        begun()
        try:
            ended = _end(heard)
        except queue.Empty:
            domain.abort_job()
            raise Conflict("the copy took too long", code="HypervisorFailed") from None
    if ended.kind == "ended" or not ended.what.get("success"):
        words = ended.what if ended.kind == "ended" else ended.what.get("errmsg", "no reason given")
        raise Conflict(f"the disk could not be copied: {words}", code="HypervisorFailed")


@contextmanager
def _standing_still(domain: RunningDomain, moment: Moment | None) -> Iterator[None]:
    """Hold the guest from the moment on until all have begun."""
    if moment is None:
        yield
        return
    moment.ready()
    runs = domain.power() == PowerState.RUNNING
    try:
        if runs:
            domain.pause()
        moment.still()
        yield
        moment.begun()
    finally:
        if runs:
            domain.go_on()


def _end(heard: queue.SimpleQueue[Heard]) -> Heard:
    """How the job, or the server, ended. Raises queue.Empty."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        told = heard.get(timeout=max(deadline - time.monotonic(), 0.0))
        if told.kind in ("job", "ended"):
            return told


def _backup(names: Iterable[str], wanted: Mapping[str, Target]) -> str:
    made = element("disks")
    for name in names:
        if name not in wanted:
            made.append(element("disk", name=name, backup="no"))
            continue
        path, kind = wanted[name]
        parts = (element("target", file=str(path)), element("driver", type=kind))
        made.append(element("disk", *parts, name=name, backup="yes", type="file"))
    return write(element("domainbackup", made, mode="push"))
