# SPDX-License-Identifier: Apache-2.0
"""Plants one fault in this process and those that it starts: a module's source with some words exchanged.

Python imports this file by itself where its folder is on PYTHONPATH. `CUMULET_PLANTED` holds the fault as JSON:
`module`, `old` (which must stand exactly once in its source) and `new`.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from typing import Any


class Loader(SourceFileLoader):
    """Loads the module with the fault in it, past the cache of compiled modules."""

    def __init__(self, name: str, path: str, old: str, new: str) -> None:
        super().__init__(name, path)
        self._old, self._new = old, new

    def path_stats(self, path: str) -> Any:
        raise OSError("what is planted is not cached")

    def get_data(self, path: str) -> bytes:
        source = super().get_data(path).decode()
        if source.count(self._old) != 1:
            raise ImportError(f"the place for the fault is not in {path} once: {self._old!r}")
        return source.replace(self._old, self._new).encode()


class Finder(MetaPathFinder):
    """Finds the one module."""

    def __init__(self, module: str, old: str, new: str) -> None:
        self._module, self._old, self._new = module, old, new

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = Loader(fullname, spec.origin, self._old, self._new)
        return spec


if "CUMULET_PLANTED" in os.environ:
    sys.meta_path.insert(0, Finder(**json.loads(os.environ["CUMULET_PLANTED"])))
