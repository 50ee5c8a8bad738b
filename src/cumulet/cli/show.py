# SPDX-License-Identifier: Apache-2.0
"""How commands tell what they do: phases with their seconds, and tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

WIDTH = 34


class Phase:
    """One thing that is being done; `detail` is shown at its end."""

    def __init__(self) -> None:
        self.detail = ""


class Phases:
    """Tells on `sink` each phase's name, its seconds and what came of it, one line each."""

    def __init__(self, sink: TextIO = sys.stdout) -> None:
        self._sink = sink

    @contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """The time of the block; a block that raises is shown as failed."""
        phase = Phase()
        begin = time.monotonic()
        live = self._sink.isatty()
        if live:
            self._sink.write(f"  {name} ...")
            self._sink.flush()
        ending = "failed"
        try:
            yield phase
            ending = phase.detail
        finally:
            seconds = time.monotonic() - begin
            start = "\r\x1b[K" if live else ""
            self._sink.write(f"{start}  {name:<{WIDTH}} {seconds:6.1f} s  {ending}".rstrip() + "\n")
            self._sink.flush()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table, columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def size(count: int | None) -> str:
    """A number of bytes in MiB."""
    return "-" if count is None else f"{count / 1048576:.0f} MiB"
