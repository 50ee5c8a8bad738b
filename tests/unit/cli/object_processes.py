# SPDX-License-Identifier: Apache-2.0
"""The object store as its process has it, within the process of a test, and without a control plane."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from cumulet.objects import Objects
from cumulet.settings import load

TEMP_AUTH = """
[objects]
port = 0
[object_store.temp_auth]
users = ["user_test_tester = testing .admin"]
"""


@contextmanager
def store(state: Path) -> Iterator[httpx.Client]:
    """A store on this machine, and who speaks to it below the account of its own user."""
    objects = Objects(load(environ={}, overrides={"state": str(state)}))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        try:
            objects.start([sock])
            base = f"http://127.0.0.1:{sock.getsockname()[1]}"
            said = httpx.get(f"{base}/auth/v1.0", headers={"x-auth-user": "test:tester", "x-auth-key": "testing"})
            url, token = said.headers["x-storage-url"], said.headers["x-auth-token"]
            with httpx.Client(base_url=url, headers={"x-auth-token": token}, timeout=30) as client:
                yield client
        finally:
            objects.stop()
