# SPDX-License-Identifier: Apache-2.0
"""The consoles of this host's servers: one door, where the console proxy is joined with a display or a serial port.

The door opens with the first question for it. Callers of this machine find a UNIX socket in the run directory; those of
other machines a TCP port, kept in the journal so that it stays the same, behind a certificate for this purpose alone.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.link import own_address
from cumulet.kernel.link.host import Host
from cumulet.kernel.link.pipes import PipeDoor
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.types import DISPLAYS

LOG = logging.getLogger(__name__)

ASK = "compute.console_certificate"  # the control plane's verb: `{request}` is answered by `{certificate, authority}`
RENEW = 7 * 86_400.0  # seconds after which the next question brings a new certificate
THREADS = 4  # that open consoles

Body = dict[str, Any]


class ConsolesOnHost:
    """Joins callers with consoles of `hypervisor`."""

    def __init__(self, host: Host, hypervisor: Hypervisor) -> None:
        self._host = host
        self._hypervisor = hypervisor
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._door: PipeDoor | None = None
        self._port = 0
        self._proven_at = 0.0
        self._context: ssl.SSLContext | None = None

    def way(self, body: Body) -> Body:
        """What the server `id` has, and where: `{"displays": [...], "path", "address", "port"}`; port 0: here only."""
        displays = self._hypervisor.displays(body["id"])
        with self._lock:
            if self._door is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="console")
                self._door = PipeDoor(self._host.loop, self._pool, self._open)
                self._door.listen_here(self._path)
            if self._is_reached_from_elsewhere() and clock.now() - self._proven_at > RENEW:
                self._listen_beyond(self._door)
        return {"displays": list(displays), "path": str(self._path), "address": self._address, "port": self._port}

    def stop(self) -> None:
        """End all consoles; their servers go on."""
        with self._lock:
            if self._door is None or self._pool is None:
                return
            self._door.close()
            self._path.unlink(missing_ok=True)
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._door = None

    @property
    def _path(self) -> Path:
        return self._host.run_dir / f"{self._host.name}.consoles"

    @property
    def _address(self) -> str:
        return own_address.own(self._host, self._host.settings.address) or "127.0.0.1"

    def _open(self, wanted: Body) -> socket.socket:
        server_id, display = wanted.get("server"), wanted.get("display")
        for known in DISPLAYS:
            if isinstance(server_id, str) and display == known:
                LOG.info("the %s console of server %s is opened", known, server_id)
                return self._hypervisor.open_display(server_id, known)
        raise Conflict("a console is asked for by its server and its kind")

    def _is_reached_from_elsewhere(self) -> bool:
        return bool(self._host.settings.link.host) or own_address.is_member(self._host)

    def _listen_beyond(self, door: PipeDoor) -> None:
        """Listen at the port of before, or show a new certificate at the port that is open."""
        # Loaded late: a cloud of one machine never needs it, and it takes a tenth of a second.
        from cumulet.kernel.link import certificates

        key = certificates.new_key()
        answer = self._host.call(ASK, {"request": certificates.request(key, self._host.name)})
        if not isinstance(answer, dict) or not {"certificate", "authority"} <= answer.keys():
            raise NotReady("the control plane gives no certificates for consoles")
        certificate, authority = str(answer["certificate"]), str(answer["authority"])
        if self._context is not None:
            certificates.show(self._context, certificate, key)
        else:
            self._context = certificates.server_context(authority, certificate, key)
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._port = self._listen(door, self._context)
        self._proven_at = clock.now()

    def _listen(self, door: PipeDoor, context: ssl.SSLContext) -> int:
        journal = self._host.journal("consoles")
        before = (journal.get("door") or {}).get("port", 0)
        try:
            port = door.listen_beyond(self._address, before, context)
        except OSError:
            port = door.listen_beyond(self._address, 0, context)
        if port != before:
            journal.put("door", {"port": port})
        return port
