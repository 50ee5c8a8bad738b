# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the tests' own: in a folder that goes with it, reached by its UNIX socket alone."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

PROGRAMS = Path("/usr/lib/postgresql")  # where Debian has them, by version
UNPRIVILEGED = "postgres"  # Debian's package makes this user; the server refuses to be root
OWNER = "cumulet"
PATIENCE = 60.0
# Nothing here outlives a power cut, so nothing waits for a disk.
CONFIGURATION = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "listen_addresses": "",
}

_numbers = itertools.count(1)


class Server:
    """One server; it ends with the test process, however that ends."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="cumulet-pg-"))
        self._as: dict[str, Any] = {"user": UNPRIVILEGED, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as:
            shutil.chown(self._folder, UNPRIVILEGED)
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self._data), "-U", OWNER, "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync")
        self.start()

    def start(self) -> None:
        """Serve (again), and wait for it."""
        words = [f"-c{name}={value}" for name, value in CONFIGURATION.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", str(self._data), "-k", str(self._folder), *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                cwd="/", preexec_fn=_die_with_parent, **self._as,
            )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                assert time.monotonic() < end, (self._folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it: SIGQUIT as a crash does, SIGINT as an administrator's restart does."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(PATIENCE)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def url(self, name: str) -> str:
        """The database `name`, as a setting spells it."""
        return f"postgresql://{OWNER}@/{name}?host={self._folder}"

    def new(self) -> str:
        """The URL of a new, empty database."""
        name = f"cloud_{os.getpid()}_{next(_numbers)}"
        create(self.url("postgres"), name)
        return self.url(name)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [_program(program), *words], capture_output=True, text=True, timeout=PATIENCE, cwd="/", **self._as
        )
        assert done.returncode == 0, done.stdout + done.stderr


def create(server_url: str, name: str) -> None:
    """Make the database `name`, as docs/operate/postgres.md says it."""
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")


def connection(url: str) -> psycopg.Connection[Any]:
    """A connection in autocommit; a context manager that closes it."""
    return psycopg.connect(url, autocommit=True)


def execute(url: str, *statements: str) -> list[Sequence[Any]]:
    """Run statements, each on its own; what the last one answered."""
    found: list[Sequence[Any]] = []
    with connection(url) as opened:
        for statement in statements:
            cursor = opened.execute(statement)  # type: ignore[call-overload]
            found = cursor.fetchall() if cursor.description else []
    return found


def new_beside(url: str) -> str:
    """The URL of a new, empty database on the server of `url`, whose own name is replaced."""
    head, _, tail = url.partition("?")
    stem = head.rpartition("/")[0]
    name = f"cloud_{os.getpid()}_{next(_numbers)}"
    create(f"{stem}/postgres?{tail}", name)
    return f"{stem}/{name}?{tail}"


def _program(name: str) -> str:
    found = sorted(PROGRAMS.glob(f"*/bin/{name}"), key=lambda path: float(path.parents[1].name))
    program = str(found[-1]) if found else shutil.which(name)
    assert program, f"PostgreSQL's {name} is not installed: make packages"
    return program


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGINT)
