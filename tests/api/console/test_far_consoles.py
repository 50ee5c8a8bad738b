# SPDX-License-Identifier: Apache-2.0
"""Consoles on hosts of other machines: bytes over TLS, between certificates of the cloud's own."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from shown_server import Shown, token_of

from cumulet.kernel.link import certificates
from cumulet.kernel.link.authority import Authority
from cumulet.kernel.link.names import door_name
from cumulet.services.compute.store import consoles as store
from support.cloud import RunningCloud
from support.rfb import Display


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A server of a cloud that has hosts on other machines, its own host among them for once."""
    cloud = RunningCloud(
        tmp_path_factory.mktemp("far"),
        ("compute", "console", "identity", "image", "network", "block_storage", "placement"),
        settings={"link.host": "127.0.0.1", "link.port": "0", "address": "127.0.0.1"},
    )
    shown = Shown(cloud)
    yield shown
    cloud.close()


def door_of(shown: Shown) -> tuple[str, int]:
    """The host's door; the socket that this machine would use is taken away."""
    url = shown.url()
    found = store.find(shown.cloud.control.cloud.db, token_of(shown, url))
    assert found is not None
    Path(found.path).unlink(missing_ok=True)
    assert found.port
    return found.address, found.port


def test_a_picture_comes_over_tls(far: Shown) -> None:
    door_of(far)
    with far.open(far.url()) as client:
        display = Display.of_websocket(client)
        assert display.name == far.server_id
        assert len(display.picture()) == 1


def test_the_door_admits_replicas_alone(far: Shown) -> None:
    """A host's certificate is good for its link, and opens no consoles of other hosts; nor does none at all."""
    address = door_of(far)
    authority = Authority(far.cloud.control.cloud.vault)
    key = certificates.new_key()
    host = authority.sign_host("host-2", certificates.request(key, "host-2"), 3600)
    for context in (
        certificates.client_context(authority.certificate, host, key),
        certificates.client_context(authority.certificate),
    ):
        with socket.create_connection(address, timeout=60) as plain:
            shaken = context.wrap_socket(plain, server_hostname=door_name("host-1"))
            assert refused(shaken)


def test_a_door_is_its_host_s(far: Shown) -> None:
    """Whoever answers at the address must prove to be the host that is meant, and cannot play a replica."""
    address = door_of(far)
    authority = Authority(far.cloud.control.cloud.vault)
    certificate, key = authority.issue_replica("another", "127.0.0.1")
    context = certificates.client_context(authority.certificate, certificate, key)
    for name in (door_name("host-2"), "control.cumulet.internal"):
        with socket.create_connection(address, timeout=60) as plain, pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(plain, server_hostname=name)


def refused(shaken: ssl.SSLSocket) -> bool:
    """Nothing comes that a console says: an alert, or a word why not, and the end."""
    try:
        shaken.sendall(b"\0\0\0\1\x80")
        answer = shaken.recv(4096)
    except OSError:
        return True
    return b"RFB" not in answer
