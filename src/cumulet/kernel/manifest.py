# SPDX-License-Identifier: Apache-2.0
"""What a service says of itself before any of its code is loaded: `manifest.toml` in its folder."""

from __future__ import annotations

import importlib
import tomllib
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal

import msgspec


class CatalogEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the service catalogue. `path` stands below the service's root and may hold `$(project_id)s`.

    Administrators are told the origin alone where it is `bare_admin`.
    """

    type: str
    name: str
    path: str = ""
    bare_admin: bool = False


class Manifest(msgspec.Struct, frozen=True, dict=True, kw_only=True, forbid_unknown_fields=True):
    """A service's manifest.

    `package` is the folder's name, filled in by `read`. `root` is the path's first segment on the shared port. `runs`
    says which process answers its API: the control plane, the data process for services that carry bulk bytes, or one
    of the service's own, at the root of a port and by an application of its own.
    `agent` says whether it has a part on hosts. `explains` are the kinds of things that `logic/explain.py` explains.
    `offers` and `uses` are the contracts by which it meets other services.
    """

    type: str
    nickname: str
    summary: str
    root: str
    runs: Literal["control", "data", "objects"] = "control"
    agent: bool = False
    catalog: list[CatalogEntry] = []
    explains: list[str] = []
    offers: list[str] = []
    uses: list[str] = []
    package: str = ""
    folder: Path = Path()

    def room(self, name: str) -> ModuleType | None:
        """The module of one room (`"api"`, `"flows"`), loaded now; None where the service has no such room."""
        module = f"{self._base}.{name}"
        if find_spec(module) is None:
            return None
        return importlib.import_module(module)

    @cached_property
    def migrations(self) -> Path | None:
        """The folder of its migrations, where it owns tables."""
        path = self.folder / "migrations"
        return path if path.is_dir() else None

    @property
    def _base(self) -> str:
        return f"cumulet.services.{self.package}"


def read(folder: Path) -> Manifest:
    """The manifest in `folder`; raises msgspec.ValidationError for one that says something unknown."""
    words = tomllib.loads((folder / "manifest.toml").read_text())
    return msgspec.convert({**words, "package": folder.name, "folder": str(folder)}, Manifest, dec_hook=_path)


def read_all(services: Path) -> list[Manifest]:
    """The manifests of all services, by name."""
    return [read(path.parent) for path in sorted(services.glob("*/manifest.toml"))]


def _path(kind: type, value: str) -> object:
    if kind is Path:
        return Path(value)
    raise TypeError(kind)
