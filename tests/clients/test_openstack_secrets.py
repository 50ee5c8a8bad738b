# SPDX-License-Identifier: Apache-2.0
"""Secrets in files: `openstack secret ...` of python-barbicanclient."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.clients


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
