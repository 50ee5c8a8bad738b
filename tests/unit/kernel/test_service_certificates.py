# SPDX-License-Identifier: Apache-2.0
"""Certificates of services: good for TLS with their names, and for nothing else; renewed, revoked, listed."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
from cryptography import x509

from cumulet.kernel import clock
from cumulet.kernel.db import migrate
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.kernel.link import certificates
from cumulet.kernel.link.authority import Authority
from cumulet.kernel.service_certificates import KEEP, ServiceCertificates
from cumulet.kernel.vault import Vault

WEEK = 7 * 86_400.0


@pytest.fixture
def vault(empty, tmp_path):
    migrate.migrate(empty, {})
    return Vault(empty, tmp_path / "master.key")


@pytest.fixture
def known(vault):
    return ServiceCertificates(vault)


def shake_hands(tmp_path, handed, authority, name):
    """A client that trusts `authority` meets the certificate under `name`."""
    pem = tmp_path / "pair.pem"
    pem.write_text(handed.key + handed.certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cadata=authority)
    ours, theirs = socket.socketpair()

    def serve():
        with theirs:
            try:
                server.wrap_socket(theirs, server_side=True).close()
            except (ssl.SSLError, OSError):
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname=name) as secured:
            return secured.version()
    finally:
        thread.join(10)


def test_it_is_good_for_its_names(known, tmp_path):
    handed = known.issue("api", ["cloud.example.org", "192.0.2.7"], WEEK)
    for name in ("cloud.example.org", "192.0.2.7"):
        assert shake_hands(tmp_path, handed, known.authority, name)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(tmp_path, handed, known.authority, "other.example.org")


def test_no_link_trusts_it(known, vault, tmp_path):
    links = Authority(vault)
    handed = known.issue("api", ["cloud.example.org"], WEEK)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path, handed, links.certificate, "cloud.example.org")
    with pytest.raises(ValueError, match="speaks of nobody who is known here"):
        certificates.holder(handed.certificate)


def test_one_at_a_time(known):
    known.issue("api", ["a"], WEEK)
    with pytest.raises(Conflict):
        known.issue("api", ["a"], WEEK)
    known.revoke("api")
    assert known.issue("api", ["a"], WEEK).issued.lives


def test_the_next_one_has_a_new_key_and_the_same_names(known):
    first = known.issue("api", ["a", "b"], WEEK)
    second = known.renew("api", 2 * WEEK)
    assert second.key != first.key
    assert second.issued.hosts == ("a", "b")
    assert [one.lives for one in known.of("api")] == [True, True]


def test_what_is_revoked_stands_in_the_list(known):
    handed = known.issue("api", ["a"], WEEK)
    known.renew("api", WEEK)
    known.issue("other", ["b"], WEEK)
    assert known.revoke("api") == 2
    crl = x509.load_pem_x509_crl(known.revoked(WEEK).encode())
    authority = x509.load_pem_x509_certificate(known.authority.encode())
    assert crl.is_signature_valid(authority.public_key())
    assert crl.get_revoked_certificate_by_serial_number(int(handed.issued.serial)) is not None
    assert len(list(crl)) == 2
    with pytest.raises(NotFound):
        known.revoke("api")


def test_what_is_long_over_is_forgotten(known):
    known.issue("api", ["a"], WEEK)
    later = clock.now() + WEEK + KEEP + 1
    clock.set_source(lambda: later)
    try:
        known.issue("other", ["b"], WEEK)
        assert [one.name for one in known.find_all()] == ["other"]
    finally:
        clock.set_source()


@pytest.mark.parametrize(("name", "hosts"), [("", ["a"]), ("a/b", ["a"]), ("api", []), ("api", ["a", "bücher"])])
def test_what_cannot_be_named_is_refused(known, name, hosts):
    with pytest.raises(Invalid):
        known.issue(name, hosts, WEEK)


def test_nobody_renews_what_was_never_issued(known):
    with pytest.raises(NotFound):
        known.renew("api", WEEK)


def test_no_key_is_kept(known, vault):
    handed = known.issue("api", ["a"], WEEK)
    assert handed.key.splitlines()[1].encode() not in (vault.get("service.certificates") or b"")
