# SPDX-License-Identifier: Apache-2.0
"""Reading the settings: defaults, then the file, the environment and the flags, each over the one before."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import msgspec

from cumulet.settings.base import Section, decode
from cumulet.settings.tree import Settings, default_state

PREFIX = "CUMULET_"
FILE_NAME = "cumulet.toml"
SYSTEM_FILE = Path("/etc/cumulet") / FILE_NAME
# Names with our prefix that are not settings: where the file is, and where a test has the process killed.
NOT_SETTINGS = frozenset({"CUMULET_CONFIG", "CUMULET_FAULTS"})


class SettingsError(ValueError):
    """The settings cannot be used; `problems` holds one sentence for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings from all their sources.

    `path` names the file (else `CUMULET_CONFIG`, else `cumulet.toml` in the state directory, else
    `/etc/cumulet/cumulet.toml`, the last two only where they exist); `overrides` are flags by dotted name
    (`{"control.port": "8800"}`). Raises SettingsError, which names every unknown setting with the nearest known one.
    """
    flags = {name: (value, f"--set {name}") for name, value in (overrides or {}).items()}
    spoken = {**dict(_from_environment(environ)), **flags}
    state = spoken["state"][0] if "state" in spoken else default_state(environ)
    file = _find_file(path, environ, Path(state))
    values = {"state": (str(state), "the default")}
    if file is not None:
        values.update(_from_file(file))
    values.update(spoken)
    return _build(values)


def known_names(section: type[Section] = Settings, prefix: str = "") -> dict[str, Any]:
    """Every setting's dotted name and type."""
    names: dict[str, Any] = {}
    for name, kind in get_type_hints(section, include_extras=True).items():
        if isinstance(kind, type) and issubclass(kind, Section):
            names.update(known_names(kind, f"{prefix}{name}."))
        else:
            names[prefix + name] = kind
    return names


def _find_file(path: Path | None, environ: Mapping[str, str], state: Path) -> Path | None:
    named = path or (Path(environ["CUMULET_CONFIG"]) if environ.get("CUMULET_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError([f"the settings file {named} is not there"])
        return named
    return next((place for place in (state / FILE_NAME, SYSTEM_FILE) if place.is_file()), None)


def _from_file(file: Path) -> dict[str, tuple[Any, str]]:
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{file}: {error}"]) from error
    return {name: (value, str(file)) for name, value in _leaves(tree, known_names())}


def _leaves(tree: Mapping[str, Any], known: Container[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their dotted names; one that is a table itself is told whole."""
    for name, value in tree.items():
        if isinstance(value, dict) and prefix + name not in known:
            yield from _leaves(value, known, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[Any, str]]]:
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            yield variable[len(PREFIX) :].lower().replace("__", "."), (text, variable)


def _build(values: Mapping[str, tuple[Any, str]]) -> Settings:
    known = known_names()
    problems = [_unknown(name, source, known) for name, (_, source) in values.items() if name not in known]
    tree: dict[str, Any] = {}
    for name, (value, _) in values.items():
        *sections, key = name.split(".")
        folder = tree
        for section in sections:
            folder = folder.setdefault(section, {})
        folder[key] = _split(value, known.get(name))
    if problems:
        raise SettingsError(problems)
    try:
        return msgspec.convert(tree, Settings, strict=False, dec_hook=decode)
    except msgspec.ValidationError as error:
        raise SettingsError([_refusal(error, values)]) from error


def _unknown(name: str, source: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{source}: there is no setting {name}{hint}"


def _split(value: Any, kind: Any) -> Any:
    if isinstance(value, str) and get_origin(kind) in (tuple, list):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


def _refusal(error: msgspec.ValidationError, values: Mapping[str, tuple[Any, str]]) -> str:
    text = str(error)
    place = re.search(r" - at `\$\.([^`\[]+)", text)
    if place is None:
        return text
    name = place.group(1)
    source = values[name][1] if name in values else "settings"
    return f"{source}: {name}: {text[: place.start()]}"
