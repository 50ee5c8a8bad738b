# SPDX-License-Identifier: Apache-2.0
"""Secrets as users type them: `openstack secret ...` of python-barbicanclient, and its library as programs use it."""

from __future__ import annotations

import pytest

from clients.openstack_command import is_gone
from support.waiting import until

pytestmark = pytest.mark.clients


def test_a_secret_with_its_payload(openstack):
    made = openstack("secret store --name cli-secret --payload 'correct horse' --secret-type passphrase")
    ref = made["Secret href"]
    assert openstack(f"secret get {ref}")["Name"] == "cli-secret"
    assert openstack(f"secret get {ref} --payload")["Payload"] == "correct horse"
    assert ref in [row["Secret href"] for row in openstack("secret list --name cli-secret")]
    openstack.text(f"secret delete {ref}")
    assert is_gone(openstack, f"secret get {ref}")


def test_a_secret_in_two_steps(openstack, tmp_path):
    ref = openstack("secret store --name cli-late")["Secret href"]
    openstack.text(f"secret update {ref} 'battery staple'")
    path = tmp_path / "payload"
    openstack.text(f"secret get {ref} --file {path}")
    assert path.read_text() == "battery staple"
    openstack.text(f"secret delete {ref}")


def test_bytes(openstack, tmp_path):
    path = tmp_path / "key.bin"
    path.write_bytes(bytes(range(256)))
    ref = openstack(f"secret store --name cli-bytes --file {path}")["Secret href"]
    back = tmp_path / "key.back"
    openstack.text(f"secret get {ref} --file {back} --payload_content_type application/octet-stream")
    assert back.read_bytes() == path.read_bytes()
    openstack.text(f"secret delete {ref}")


def test_consumers(openstack):
    ref = openstack("secret store --name cli-needed --payload x")["Secret href"]
    who = "--service-type-name image --resource-type image --resource-id 1"
    openstack.text(f"secret consumer create {who} {ref}")
    assert openstack(f"secret consumer list {ref}")[0]["Service"] == "image"
    openstack.text(f"secret consumer delete {who} {ref}")
    assert openstack(f"secret consumer list {ref}") == []
    openstack.text(f"secret delete {ref}")


def test_a_container(openstack):
    one, two = (openstack(f"secret store --name cli-{name} --payload x")["Secret href"] for name in "ab")
    words = f"--type rsa --secret private_key={one} --secret public_key={two}"
    ref = openstack(f"secret container create --name cli-pair {words}")["Container href"]
    assert openstack.text(f"secret container get {ref} -f value -c Type").strip() == "rsa"
    assert "cli-pair" in [row["Name"] for row in openstack("secret container list")]
    openstack.text(f"secret container delete {ref}")
    for each in (one, two):
        openstack.text(f"secret delete {each}")


def test_an_order(openstack):
    made = openstack("secret order create key --name cli-key --algorithm aes --bit-length 256 --mode cbc")
    ref = made["Order href"]
    until(lambda: openstack(f"secret order get {ref}")["Status"] == "ACTIVE")
    secret = openstack(f"secret order get {ref}")["Secret href"]
    assert openstack(f"secret get {secret}")["Bit length"] == 256
    openstack.text(f"secret order delete {ref}")
    openstack.text(f"secret delete {secret}")


def test_an_access_list(openstack):
    ref = openstack("secret store --name cli-private --payload x")["Secret href"]
    openstack.text(f"acl submit {ref} --user someone --no-project-access")
    (row,) = openstack(f"acl get {ref}")
    assert row["Users"] == ["someone"]
    assert not row["Project Access"]
    openstack.text(f"acl delete {ref}")
    openstack.text(f"secret delete {ref}")
