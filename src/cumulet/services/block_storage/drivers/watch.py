# SPDX-License-Identifier: Apache-2.0
"""Hears of the end of a process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from cumulet.kernel.loop import Loop


class Watch:
    """Calls `ended(this watch)` once, on a thread of its own, when the process ends, unless `stop` comes before.

    Its descriptor belongs to the loop's thread alone: no other may close a number that the loop still looks at. Raises
    ProcessLookupError where there is no such process.
    """

    def __init__(self, loop: Loop, pid: int, ended: Callable[[Watch], None]) -> None:
        self._loop = loop.asyncio
        self._ended = ended
        self._handle: int | None = os.pidfd_open(pid)
        self._loop.call_soon_threadsafe(self._loop.add_reader, self._handle, self._notice)

    def stop(self) -> None:
        """Hear of it no more. Who was being told just then is told."""
        self._loop.call_soon_threadsafe(self._close)

    def _notice(self) -> None:
        self._close()
        threading.Thread(target=self._ended, args=(self,), name="export-ended", daemon=True).start()

    def _close(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._loop.remove_reader(handle)
            os.close(handle)
