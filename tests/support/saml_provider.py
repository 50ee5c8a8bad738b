# SPDX-License-Identifier: Apache-2.0
"""A real SAML 2.0 identity provider, of pysaml2, on loopback: a program that prints its port and serves until it ends.

It reads the metadata of the service provider from its argument. At `/sso` it logs in `bob` at once, for browsers;
clients that carry envelopes (ECP) show his password at `/ecp`. `/metadata` is its own.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, BINDING_SOAP
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.saml import NAMEID_FORMAT_UNSPECIFIED, NameID
from saml2.server import Server
from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

PERSON = {"uid": ["bob"], "mail": ["bob@example.org"], "memberOf": ["staff", "wheel"]}
BASIC = f"Basic {base64.b64encode(b'bob:password').decode()}"


def key_pair(folder: Path) -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
    )
    plain, pem = serialization.NoEncryption(), serialization.Encoding.PEM
    (folder / "key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain))
    (folder / "cert").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    return str(folder / "key"), str(folder / "cert")


def configure(base: str, metadata: str, folder: Path) -> IdPConfig:
    key, cert = key_pair(folder)
    return IdPConfig().load(
        {
            "entityid": f"{base}/metadata",
            "xmlsec_binary": "/usr/bin/xmlsec1",
            "key_file": key,
            "cert_file": cert,
            "metadata": {"local": [metadata]},
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [
                            (f"{base}/sso", BINDING_HTTP_REDIRECT),
                            (f"{base}/ecp", BINDING_SOAP),
                        ]
                    },
                    "policy": {"default": {"lifetime": {"minutes": 5}, "attribute_restrictions": None}},
                    "sign_response": True,
                    "sign_assertion": True,
                    "want_authn_requests_signed": False,
                }
            },
        }
    )


class Door(BaseHTTPRequestHandler):
    provider: Server

    def log_message(self, *words: object) -> None:
        """Quietly."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/metadata":
            self.answer(str(entity_descriptor(self.provider.config)), "text/xml")
            return
        words = {name: values[0] for name, values in parse_qs(parts.query).items()}
        asked = self.provider.parse_authn_request(
            words["SAMLRequest"], BINDING_HTTP_REDIRECT, words["RelayState"], words["SigAlg"], words["Signature"]
        )
        where, response = self.respond(asked.message)
        form = self.provider.apply_binding(BINDING_HTTP_POST, str(response), where, words["RelayState"], response=True)
        self.answer(form["data"], "text/html")

    def do_POST(self) -> None:
        if self.headers["Authorization"] != BASIC:
            self.answer("Unauthorized", "text/plain", 401)
            return
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = self.provider.parse_authn_request(body, BINDING_SOAP)
        where, response = self.respond(asked.message)
        self.answer(str(self.provider.use_soap(str(response), where, [ecp(where)])["data"]), "text/xml")

    def respond(self, asked: object) -> tuple[str, object]:
        where = asked.assertion_consumer_service_url
        name = NameID(format=NAMEID_FORMAT_UNSPECIFIED, text="bob")
        context = {"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "authn_auth": "idp"}
        made = self.provider.create_authn_response(
            PERSON,
            asked.id,
            where,
            asked.issuer.text,
            name_id=name,
            authn=context,
            sign_response=True,
            sign_assertion=True,
            sign_alg=SIG_RSA_SHA256,
            digest_alg=DIGEST_SHA256,
        )
        return where, made

    def answer(self, text: str, media_type: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.end_headers()
        self.wfile.write(text.encode())


def ecp(where: str) -> object:
    from saml2.profile import ecp as profile

    header = profile.Response(assertion_consumer_service_url=where, must_understand="1")
    header.actor = "http://schemas.xmlsoap.org/soap/actor/next"
    return header


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    with tempfile.TemporaryDirectory() as made:
        here = f"http://127.0.0.1:{server.server_port}"
        Door.provider = Server(config=configure(here, sys.argv[1], Path(made)))
        print(server.server_port, flush=True)
        server.serve_forever()
