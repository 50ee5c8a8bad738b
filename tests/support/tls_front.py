# SPDX-License-Identifier: Apache-2.0
"""A front that speaks TLS, asks clients for their certificate and hands it on in a header, as nginx does."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from support.certificates import self_signed

HEADER = "X-Client-Certificate"
NOT_HANDED_ON = {"connection", "content-length", "date", "host", "server", "transfer-encoding", HEADER.lower()}


class Front(ThreadingHTTPServer):
    """At `url`, with the certificate `authority`, before the server at `behind`; it takes clients of `clients`."""

    daemon_threads = True

    def __init__(self, behind: str, folder: Path, clients: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.behind = urlsplit(behind).netloc
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "front")])
        key, certificate = self_signed(name, "127.0.0.1")
        self.authority, secret = folder / "front.pem", folder / "front-key.pem"
        self.authority.write_bytes(certificate)
        secret.write_bytes(key)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.authority, secret)
        tls.verify_mode = ssl.CERT_OPTIONAL
        tls.load_verify_locations(clients)
        self.socket = tls.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"


class _Door(BaseHTTPRequestHandler):
    server: Front
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Quietly."""

    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        shown = self.connection.getpeercert(binary_form=True)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_HANDED_ON}
        if shown:
            headers[HEADER] = quote(ssl.DER_cert_to_PEM_cert(shown))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(self.server.behind, timeout=60)
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in NOT_HANDED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        self.do_GET()


@contextmanager
def front(behind: str, folder: Path, clients: Path) -> Iterator[Front]:
    """A front while it serves."""
    with Front(behind, folder, clients) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield made
        made.shutdown()
