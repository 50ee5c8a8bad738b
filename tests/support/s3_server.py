# SPDX-License-Identifier: Apache-2.0
"""An S3 server of the tests' own, SeaweedFS: on loopback, in a folder that goes with it."""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import botocore.session
import httpx

PATIENCE = 60.0  # seconds that it may take to start
ACCESS_KEY, SECRET_KEY = "the-access-key", "the-secret-key"
_PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("s3.port", "s3.port.grpc"),
)


class S3Server:
    """One server with an empty bucket `images`; it ends with the test process, however that ends."""

    bucket = "images"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="cumulet-s3-"))
        self.secret_key_file = self._folder / "secret"
        self.secret_key_file.write_text(SECRET_KEY + "\n")
        people = {
            "name": "images",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin"],
        }
        configuration = self._folder / "s3.json"
        configuration.write_text(json.dumps({"identities": [people]}))
        ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self.endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        data = self._folder / "data"
        data.mkdir()
        words = {
            **ports,
            "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": data, "s3": "true", "s3.config": configuration,
            "s3.port.iceberg": 0, "s3.port.lance": 0, "master.telemetry": "false", "master.volumeSizeLimitMB": 64,
            "volume.max": 20,
        }  # fmt: skip
        self._process = subprocess.Popen(
            [Path(sys.executable).parent / "weed", "server", *(f"-{name}={value}" for name, value in words.items())],
            cwd=self._folder, env={"HOME": str(self._folder), "GOMAXPROCS": "1"}, preexec_fn=_die_with_parent,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._make_bucket()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def client(self) -> object:
        """A client of the server that is not ours."""
        return botocore.session.get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def _make_bucket(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            assert self._process.poll() is None
            assert time.monotonic() < end
            try:
                httpx.get(self.endpoint, timeout=5)
                self.client().create_bucket(Bucket=self.bucket)
                return
            except Exception:
                time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as holding:
        probes = [holding.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
