# SPDX-License-Identifier: Apache-2.0
"""A monitor of QEMU or of its storage daemon: commands, their answers, and events, over one UNIX socket.

QEMU serves one client a socket. Nothing here sleeps: work waits for answers and events.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

Event = dict[str, Any]

ANSWER_TIMEOUT = 30.0  # seconds that any one command may take; jobs report by events instead
CHUNK = 65536


class QmpError(Exception):
    """QEMU refused a command; `kind` is its error class (`GenericError`, `DeviceNotFound`)."""

    def __init__(self, kind: str, description: str) -> None:
        super().__init__(description)
        self.kind = kind


class QmpGoneError(Exception):
    """There is no QEMU at the other end (any more)."""


def listen(path: Path) -> socket.socket:
    """A socket that listens at `path`, whatever the length of its name, for a QEMU to inherit."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with _folder(path) as folder:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    path.chmod(0o600)
    listener.listen(1)
    return listener


def connect(path: Path) -> socket.socket:
    """A stream to the socket at `path`, whatever the length of its name. Raises OSError."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with _folder(path) as folder:
            stream.connect(f"/proc/self/fd/{folder}/{path.name}")
    except OSError:
        stream.close()
        raise
    return stream


class Monitor:
    """A conversation with one QEMU. Use it on one event loop; close it in the end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._next = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._greeting: asyncio.Future[Any] = self._loop.create_future()
        self._events: list[Event] = []
        self._arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self._reader = self._loop.create_task(self._read())

    @classmethod
    async def connect(cls, path: Path, timeout: float = ANSWER_TIMEOUT) -> Self:
        """Open the monitor at `path` and agree on capabilities. Raises QmpGoneError."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            with _folder(path) as folder:
                sock.connect(f"/proc/self/fd/{folder}/{path.name}")
        except OSError as error:
            sock.close()
            raise QmpGoneError(f"no monitor at {path.name}: {error.strerror}") from error
        monitor = cls(sock)
        try:
            await asyncio.wait_for(monitor._greeting, timeout)
            await monitor.execute("qmp_capabilities", timeout=timeout)
        except TimeoutError as error:
            await monitor.close()
            raise QmpGoneError(f"{path.name} did not greet within {timeout:g} s") from error
        except BaseException:
            await monitor.close()
            raise
        return monitor

    async def execute(
        self, command: str, *, send_fd: int | None = None, timeout: float = ANSWER_TIMEOUT, **arguments: Any
    ) -> Any:
        """Run one command; underscores in argument names become dashes. `send_fd` is sent along with it.

        Raises QmpError where QEMU refuses, QmpGoneError where it ended, TimeoutError.
        """
        words = {name.replace("_", "-"): value for name, value in arguments.items()}
        return await self.send(command, words, send_fd=send_fd, timeout=timeout)

    async def send(
        self, command: str, arguments: Mapping[str, Any], *, send_fd: int | None = None, timeout: float = ANSWER_TIMEOUT
    ) -> Any:
        """The same for arguments as they are: devices have properties with underscores."""
        if self.gone.is_set():
            raise QmpGoneError(command)
        self._next += 1
        number = self._next
        message: dict[str, Any] = {"execute": command, "id": number}
        if arguments:
            message["arguments"] = arguments
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._answers[number] = answer
        data = json.dumps(message).encode() + b"\n"
        try:
            if send_fd is None:
                await self._loop.sock_sendall(self._sock, data)
            else:
                socket.send_fds(self._sock, [data], [send_fd])
            return await asyncio.wait_for(answer, timeout)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise QmpGoneError(command) from error
        finally:
            self._answers.pop(number, None)

    async def wait(self, match: Callable[[Event], bool], timeout: float) -> Event:
        """The first event since the monitor was opened that matches; it is not seen again.

        Raises TimeoutError, or QmpGoneError where QEMU ended first.
        """
        async with asyncio.timeout(timeout):
            while True:
                for index, event in enumerate(self._events):
                    if match(event):
                        return self._events.pop(index)
                if self.gone.is_set():
                    raise QmpGoneError("ended while an event was awaited")
                self._arrived.clear()
                await self._arrived.wait()

    async def close(self) -> None:
        """Hang up; QEMU goes on."""
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        self._sock.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def _read(self) -> None:
        buffer = b""
        try:
            while data := await self._loop.sock_recv(self._sock, CHUNK):
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    if line.strip():
                        self._take(json.loads(line))
        except OSError:
            pass  # a reset is an end like any other
        finally:
            self._end()

    def _take(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._events.append(message)
            self._arrived.set()
        elif "QMP" in message:
            if not self._greeting.done():  # whoever waited for it may have given up
                self._greeting.set_result(message["QMP"])
        else:
            answer = self._answers.get(message.get("id", 0))
            if answer is None or answer.done():
                return
            if "error" in message:
                answer.set_exception(QmpError(message["error"]["class"], message["error"]["desc"]))
            else:
                answer.set_result(message["return"])

    def _end(self) -> None:
        self.gone.set()
        self._arrived.set()
        for answer in [self._greeting, *self._answers.values()]:
            if not answer.done():
                answer.set_exception(QmpGoneError("the monitor was closed"))
        if not self._greeting.cancelled():
            self._greeting.exception()  # read here, so that nobody warns of it


@contextlib.contextmanager
def _folder(path: Path) -> Any:
    """A descriptor of the folder of `path`: names of sockets are limited to 107 bytes, paths of servers are longer."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)
