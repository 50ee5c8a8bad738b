# SPDX-License-Identifier: Apache-2.0
"""A run's outcomes, kept on disk as they come, so that a run that was ended goes on where it was.

The file is lines of JSON: `{"began": time, "digest": ...}` for each session, one line for each outcome, and
`{"finished": time}`. A last line that a kill cut short is ignored.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

Outcome = dict[str, Any]


class Progress:
    """The run kept in `path`, of a list with this `digest`."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        self.digest = digest
        self.outcomes: dict[str, Outcome] = {}
        self.seconds = 0.0
        self.finished = False
        self.folder = ""
        self._read()

    def open(self, folder: Path, fresh: bool = False) -> None:
        """Begin a session whose cloud lives in `folder`; what a finished run left is dropped."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if fresh or self.finished:
            self.outcomes, self.seconds = {}, 0.0
        lines = [{"outcome": outcome, "at": 0} for outcome in self.outcomes.values()]
        self.finished, self.folder = False, str(folder)
        draft = self.path.with_suffix(".new")
        head = {"digest": self.digest, "before": self.seconds}
        draft.write_text("".join(json.dumps(line) + "\n" for line in [head, *lines]))
        draft.replace(self.path)
        self._append({"began": time.time(), "folder": str(folder)})

    def add(self, outcome: Outcome) -> None:
        """Keep one outcome."""
        self.outcomes[outcome["id"]] = outcome
        self._append({"outcome": outcome, "at": time.time()})

    def finish(self) -> None:
        """Say that nothing is left to do."""
        self._append({"finished": time.time()})
        self._read()

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a") as sink:
            sink.write(json.dumps(line) + "\n")
            sink.flush()
            os.fsync(sink.fileno())

    def _read(self) -> None:
        lines = _lines(self.path)
        self.outcomes, self.seconds, self.finished = {}, 0.0, False
        if not lines or lines[0].get("digest") != self.digest:
            return
        began = 0.0
        self.seconds = lines[0]["before"]
        for line in lines[1:]:
            began = line.get("began", began)
            self.folder = line.get("folder", self.folder)
            if outcome := line.get("outcome"):
                self.outcomes[outcome["id"]] = outcome
            self.finished = "finished" in line
        if began:
            self.seconds += max(0.0, max(line.get("at", 0) or line.get("finished", 0) for line in lines[1:]) - began)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    found = []
    for text in path.read_text(errors="replace").splitlines():
        try:
            found.append(json.loads(text))
        except ValueError:
            break
    return found
