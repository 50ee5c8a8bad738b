# SPDX-License-Identifier: Apache-2.0
"""The metadata address of guests: a small HTTP server whose listening sockets lie in many namespaces."""

from __future__ import annotations

import ipaddress
import selectors
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeAlias, cast

from cumulet.services.network.contract import PASSWORD_LIMIT, MetadataAnswer, MetadataQuery
from cumulet.services.network.drivers.base import Metadata

# Host and port; for a link-local address also the flow and the device's number.
Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

WORKERS = 16
PER_NETWORK = 8  # requests of one listener at a time, so that no tenant takes all workers
TIMEOUT = 10.0  # seconds that a guest may take to say what it wants


class Listener:
    """One listening socket; `networks` says which network a guest's address belongs to, as (id, CIDR).

    `guests` are the addresses by which guests are known that come from their link-local ones.
    """

    def __init__(self, sock: socket.socket, networks: list[tuple[str, str]]) -> None:
        self.sock = sock
        self.networks = networks
        self.guests: dict[str, str] = {}
        self.slots = threading.BoundedSemaphore(PER_NETWORK)

    def guest_at(self, address: str) -> str:
        """The address by which the guest is known that speaks from `address`."""
        plain = address.partition("%")[0]
        return self.guests.get(plain, plain)

    def network_of(self, address: str) -> str | None:
        """The network whose range holds `address`; a listener of one network without ranges takes all."""
        ip = ipaddress.ip_address(address)
        return next((key for key, cidr in self.networks if ip in ipaddress.ip_network(cidr, strict=False)), None)


class MetadataServer:
    """One thread accepts for all listeners, a pool of workers answers."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._listeners: dict[str, Listener] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="metadata")
        self._thread = threading.Thread(target=self._serve, name="metadata", daemon=True)
        self._thread.start()

    def listening(self, key: str) -> bool:
        return key in self._listeners

    def listen(self, key: str, address: Address, networks: list[tuple[str, str]]) -> None:
        """Serve at `address` of the calling thread's namespace, under the name `key`."""
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(64)
        sock.setblocking(False)
        with self._lock:
            self._listeners[key] = listener = Listener(sock, networks)
            self._selector.register(sock, selectors.EVENT_READ, listener)

    def tell(self, key: str, networks: list[tuple[str, str]]) -> None:
        """Replace which networks the listener serves."""
        self._listeners[key].networks = networks

    def name_guests(self, key: str, guests: dict[str, str]) -> None:
        """Say which guest each link-local address is; nothing happens where there is no such listener."""
        listener = self._listeners.get(key)
        if listener is not None:
            listener.guests = guests

    def forget(self, key: str) -> None:
        """Close the listener; nothing happens where there is none."""
        with self._lock:
            listener = self._listeners.pop(key, None)
            if listener is not None:
                self._selector.unregister(listener.sock)
                listener.sock.close()

    def close(self) -> None:
        for key in list(self._listeners):
            self.forget(key)
        self._waker.close()
        self._thread.join(2)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._selector.close()
        self._wake.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                self._accept(key.data)

    def _accept(self, listener: Listener) -> None:
        try:
            sock, peer = listener.sock.accept()
        except OSError:
            return  # the guest gave up, or the listener was just closed
        if not listener.slots.acquire(blocking=False):
            sock.close()
            return
        try:
            self._pool.submit(self._handle, listener, sock, peer)
        except RuntimeError:  # the pool is shutting down
            listener.slots.release()
            sock.close()

    def _handle(self, listener: Listener, sock: socket.socket, peer: Any) -> None:
        try:
            sock.settimeout(TIMEOUT)
            guest = listener.guest_at(peer[0])
            _Handler(sock, (guest, peer[1]), (listener.network_of(guest), self._metadata))  # type: ignore[arg-type]
        except OSError:
            return  # the guest went away in mid-sentence
        finally:
            sock.close()
            listener.slots.release()


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for one connection; `server` carries the guest's network and the source of answers."""

    protocol_version = "HTTP/1.0"
    server_version = "Metadata"
    sys_version = ""

    def do_GET(self) -> None:
        network_id, metadata = cast(tuple[str | None, Metadata], self.server)
        found = MetadataAnswer(status=404)
        if network_id is not None:
            path = self.path.partition("?")[0]
            found = metadata(MetadataQuery(network_id=network_id, address=self.client_address[0], path=path))
        self._send(found)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        """Guests may post an encrypted password (`/openstack/latest/password`), and nothing else."""
        network_id, metadata = cast(tuple[str | None, Metadata], self.server)
        path = self.path.partition("?")[0]
        length = self.headers.get("Content-Length", "")
        if network_id is None or not path.endswith("/password"):
            self._send(MetadataAnswer(status=404))
        elif not length.isdecimal() or int(length) > PASSWORD_LIMIT:
            self._send(MetadataAnswer(status=400))
        else:
            words = self.rfile.read(int(length)).decode(errors="replace")
            address = self.client_address[0]
            self._send(metadata(MetadataQuery(network_id=network_id, address=address, path=path, posted=words)))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's word
        """Guests do not write into the agent's log."""

    def _send(self, found: MetadataAnswer) -> None:
        self.send_response(found.status)
        self.send_header("Content-Type", f"{found.media_type}; charset=UTF-8")
        self.send_header("Content-Length", str(len(found.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(found.body)
