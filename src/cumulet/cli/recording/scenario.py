# SPDX-License-Identifier: Apache-2.0
"""Scenarios of recorded contracts: their files, read into Structs; and the placeholders in their words.

A scenario is a YAML file (`docs/develop/recorded.md` tells all fields). `{name}` in a path, header or body stands for
a value that the play knows: people and projects made for it, or what an earlier step kept of its answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct, field

GIVEN = "given.yaml"  # beside the scenarios' folders: steps by name, played before a scenario and never compared
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # many times faster where libyaml is
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class BadScenario(Exception):
    """A file that cannot be played; the message says where and why."""


class Step(Struct, forbid_unknown_fields=True, rename={"actor": "as"}, omit_defaults=True):
    """One request, and what is done with its answer.

    `ask` is `METHOD /path` below the service's version, `METHOD //path` below its root. `until` names paths of the
    answer (or `status`) and the values that end its repetition. `make` names values that are computed first, each by
    one of `signing.MAKERS` (`by`) and its words. `apart` names paths that differ by nature, each with
    its reason; `sort` the lists without an order, by the field that orders them; `only` the lists of which the
    entries that fit a pattern matter.
    """

    ask: str
    actor: str = ""
    service: str = ""
    version: str = ""
    versions: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    data: str | None = None
    make: dict[str, dict[str, Any]] = field(default_factory=dict)
    keep: dict[str, str] = field(default_factory=dict)
    until: dict[str, list[Any]] = field(default_factory=dict)
    apart: dict[str, str] = field(default_factory=dict)
    sort: dict[str, str] = field(default_factory=dict)
    only: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return self.ask.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.ask.partition(" ")[2]


class Scenario(Struct, forbid_unknown_fields=True, rename={"actor": "as"}):
    """A file of steps. `given` names groups of steps that are played first; `apart` and `sort` count for every step.

    `kind` is the kind of cloud that the scenario needs, where an ordinary one will not do. All steps are played once
    for each set of words in `each`, with these in their placeholders' places.
    """

    about: str
    service: str
    steps: list[Step]
    name: str = ""
    actor: str = "member"
    version: str = ""
    kind: str = ""
    given: list[str] = field(default_factory=list)
    each: list[dict[str, str]] = field(default_factory=list)
    apart: dict[str, str] = field(default_factory=dict)
    sort: dict[str, str] = field(default_factory=dict)


def names(folder: Path) -> list[str]:
    """All scenarios below `folder`, as `service/scenario`, in order."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in folder.glob("*/*.yaml"))


def read(folder: Path, name: str) -> Scenario:
    """One scenario with its steps multiplied by their versions. Raises BadScenario."""
    path = folder / f"{name}.yaml"
    try:
        found = msgspec.convert(_words(path), Scenario)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise BadScenario(f"{path}: {error}") from error
    found.name = name
    if found.each:
        steps = [msgspec.structs.replace(step, actor=step.actor or found.actor) for step in found.steps]
        found.steps = [_told(step, words) for words in found.each for step in steps]
    found.steps = _whole(found.steps, found, str(path))
    return found


def _words(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe one


def read_given(folder: Path, scenario: Scenario) -> list[Step]:
    """The steps that stand before the scenario. Raises BadScenario."""
    if not scenario.given:
        return []
    path = folder / GIVEN
    try:
        groups = msgspec.convert(_words(path), dict[str, list[Step]])
        found = [step for name in scenario.given for step in groups[name]]
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise BadScenario(f"{path}: {error}") from error
    except KeyError as error:
        raise BadScenario(f"{scenario.name}: nothing is given as {error}") from error
    return _whole(found, scenario, str(path))


def _told(step: Step, words: dict[str, str]) -> Step:
    """The step with `words` in their placeholders' places; the other placeholders stay."""

    def value(name: str) -> str:
        return words.get(name, "{" + name + "}")

    return msgspec.convert(fill(msgspec.to_builtins(step), value), Step)


def fill(words: Any, value: Callable[[str], Any]) -> Any:
    """`words` (any JSON) with placeholders replaced by `value(name)`; a string that is nothing else takes its type."""
    if isinstance(words, dict):
        return {fill(key, value): fill(inner, value) for key, inner in words.items()}
    if isinstance(words, list):
        return [fill(inner, value) for inner in words]
    if not isinstance(words, str):
        return words
    if whole := _PLACEHOLDER.fullmatch(words):
        return value(whole[1])
    return _PLACEHOLDER.sub(lambda match: str(value(match[1])), words)


def dig(tree: Any, path: str) -> Any:
    """The value at a dotted path (`server.links.0.href`) of parsed JSON. Raises KeyError where there is none."""
    for word in path.split("."):
        if isinstance(tree, list) and word.isdigit() and int(word) < len(tree):
            tree = tree[int(word)]
        elif isinstance(tree, dict) and word in tree:
            tree = tree[word]
        else:
            raise KeyError(path)
    return tree


def _whole(steps: list[Step], scenario: Scenario, where: str) -> list[Step]:
    found = []
    for step in steps:
        if step.method not in METHODS or not step.path.startswith("/"):
            raise BadScenario(f"{where}: {step.ask!r} is not a method and a path")
        for version in step.versions or [step.version or scenario.version]:
            found.append(
                msgspec.structs.replace(
                    step,
                    service=step.service or scenario.service,
                    actor=step.actor or scenario.actor,
                    version=version,
                    versions=[],
                    apart={**scenario.apart, **step.apart},
                    sort={**scenario.sort, **step.sort},
                )
            )
    return found
