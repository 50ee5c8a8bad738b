# SPDX-License-Identifier: Apache-2.0
"""The door of a running process: a UNIX socket by which its owner, and nobody else, looks and turns.

One line of JSON asks, one answers: `{"verb": "log.level", ...}`; `{"answer": ...}` or `{"error": "..."}`. The socket
lies in the run directory and is its owner's alone (0600): whoever can open it could kill the process as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cumulet.kernel.errors import CumuletError, NotReady
from cumulet.kernel.loop import Loop

LOG = logging.getLogger(__name__)

LONGEST = 16 * 1024 * 1024  # bytes of a line
THREADS = 2

Body = dict[str, Any]
Verb = Callable[[Body], Any]


class DoorError(Exception):
    """The process refused, and says why."""


def path_of(run: Path, part: str) -> Path:
    """Where the door of `part` (`control`, `data`, `agent-HOST`) is."""
    return run / f"{part}.door"


class Door:
    """Opens at `path`; a verb takes the line's other words, runs in a thread and returns what JSON can say."""

    def __init__(self, loop: Loop, path: Path, verbs: Mapping[str, Verb]) -> None:
        self._loop = loop
        self._path = path
        self._verbs = verbs
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="door")
        self._server: asyncio.Server | None = None

    def open(self) -> None:
        """Answer from now on; a door that a crash left behind is replaced."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        mask = os.umask(0o177)
        try:
            listener.bind(str(self._path))
        finally:
            os.umask(mask)
        self._server = self._loop.wait(asyncio.start_unix_server(self._answer, sock=listener, limit=LONGEST))

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._loop.asyncio.call_soon_threadsafe(self._server.close)
            self._path.unlink(missing_ok=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                answer = await self._loop.run(self._pool, self._do, line)
                writer.write(json.dumps(answer, default=str).encode() + b"\n")
                await writer.drain()
        writer.close()

    def _do(self, line: bytes) -> Body:
        try:
            words = json.loads(line)
            verb = self._verbs[words.pop("verb")]
        except (ValueError, KeyError, AttributeError, TypeError):
            return {"error": "this process knows no such verb"}
        try:
            return {"answer": verb(words)}
        except CumuletError as error:
            return {"error": error.message}
        except Exception as error:
            LOG.exception("a verb at the door failed")
            return {"error": f"{type(error).__name__}: {error}"}


def ask(path: Path, verb: str, /, *, timeout: float | None = 30.0, **words: Any) -> Any:
    """Ask the process behind the door at `path`.

    Raises NotReady where nobody is there (any more), DoorError where it refuses, TimeoutError.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asking:
        asking.settimeout(timeout)
        try:
            asking.connect(str(path))
            asking.sendall(json.dumps({"verb": verb, **words}, default=str).encode() + b"\n")
            line = asking.makefile("rb").readline(LONGEST)
        except TimeoutError:
            raise
        except OSError as error:
            raise NotReady(f"nobody answers at {path}: {error.strerror}") from error
    if not line.endswith(b"\n"):
        raise NotReady(f"the process behind {path} left without an answer")
    answer = json.loads(line)
    if "error" in answer:
        raise DoorError(answer["error"])
    return answer["answer"]
