# SPDX-License-Identifier: Apache-2.0
"""Runs the identity providers of the tests, which are programs (`openid_provider`, `saml_provider`)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent


@contextmanager
def program(name: str, *words: str) -> Iterator[str]:
    """A provider of this folder while it serves: its address."""
    environ = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    command = [sys.executable, "-W", "ignore", str(HERE / f"{name}.py"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ) as child:
        assert child.stdout is not None
        try:
            port = child.stdout.readline().strip()
            assert port, f"{name} has not begun to serve"
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait(30)
