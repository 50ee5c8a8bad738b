# SPDX-License-Identifier: Apache-2.0
"""Stories of `openstack` commands as data: `commands/*.yaml`, each a name and its steps.

A step is a command line, or `run` with what must come of it: `shows` columns of the one thing, `lists` columns of some
row, `lacks` of no row, `says` words of its output, `fails` words of its refusal; `keep` names columns for later steps
(`{variable: column}`, of it what `pattern` finds), `as` changes the caller's environment, `waits` asks until it is
true. `write` makes a file whose path is the variable, `into` one in `$folder` of the command's output. `settings` are
compute's own until the story ends. `$n` is a name that nobody else uses, `$host` the cloud's host; further words are
fixtures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

import msgspec
import pytest

from clients.openstack_command import CommandFailed, OpenStackCommand
from support import yaml_files
from support.cloud import RunningCloud
from support.waiting import until

Step: TypeAlias = str | Mapping[str, Any]
Story: TypeAlias = list[Step]
Patch: TypeAlias = pytest.MonkeyPatch

FOLDER = Path(__file__).parent / "commands"
FIXTURES = ("image", "flavor", "network", "server", "swift")


@cache
def stories() -> dict[str, Story]:
    """All stories by their names; read once, so nobody may change them."""
    return {name: story for path in sorted(FOLDER.glob("*.yaml")) for name, story in _read(path).items()}


def commands(*groups: str) -> set[str]:
    """The commands that an installed client brings: `"region create"`."""
    return {entry.name.replace("_", " ") for group in groups for entry in entry_points(group=group)}


def told(known: set[str]) -> Iterator[str]:
    """The commands of `known` that the stories run."""
    for story in stories().values():
        for step in story:
            words = str(step if isinstance(step, str) else step.get("run", "")).split()
            heads = {" ".join(words[:length]) for length in range(1, len(words) + 1)}
            yield from sorted(heads & known, key=len)[-1:]


def needs(story: Story) -> Iterator[str]:
    """The fixtures that a story speaks of."""
    text = str(story)
    yield from (name for name in FIXTURES if re.search(rf"\${name}\b", text))


class Teller:
    """Tells one story on a running cloud; `words` are more of its variables."""

    def __init__(self, cloud: RunningCloud, name: str, folder: Path, words: Mapping[str, str], patch: Patch) -> None:
        self._cloud = cloud
        self._folder = folder
        self._patch = patch
        own = {"n": f"story-{name.replace(' ', '-')}", "host": cloud.settings.host, "folder": str(folder)}
        self._words = {**own, **words}

    def tell(self, story: Story) -> None:
        for step in story:
            self._step({"run": step} if isinstance(step, str) else step)

    def _step(self, raw: Mapping[str, Any]) -> None:
        step = self._filled(raw)
        if "write" in step:
            path = self._folder / step["write"]
            path.write_text(step["text"])
            self._words[step["write"]] = str(path)
        elif "settings" in step:
            self._set(step["settings"])
        elif step.get("waits"):
            until(lambda: self._comes_true(step))
        else:
            self._run(step)

    def _set(self, values: Mapping[str, Any]) -> None:
        control = self._cloud.control.cloud
        compute = msgspec.structs.replace(control.settings.compute, **values)
        self._patch.setattr(control, "settings", msgspec.structs.replace(control.settings, compute=compute))

    def _comes_true(self, step: Mapping[str, Any]) -> bool:
        try:
            self._run(step)
        except AssertionError:
            return False
        return True

    def _run(self, step: Mapping[str, Any]) -> None:
        line, openstack = step["run"], OpenStackCommand(self._cloud, **step.get("as", {}))
        if "fails" in step:
            _fails(openstack, line, step["fails"])
        elif step.keys() & {"shows", "lists", "lacks", "keep"}:
            self._check(openstack(line), step)
        else:
            said = openstack.text(line)
            assert step.get("says", "") in said, said
            if "into" in step:
                (self._folder / step["into"]).write_text(said)

    def _check(self, answer: Any, step: Mapping[str, Any]) -> None:
        rows = answer if isinstance(answer, list) else [answer]
        if "lacks" in step:
            assert not [row for row in rows if _has(row, step["lacks"])], (step["run"], rows)
            return
        wanted = step.get("shows") or step.get("lists") or {}
        found = [row for row in rows if _has(row, wanted)]
        assert found, (step["run"], wanted, rows)
        for variable, column in step.get("keep", {}).items():
            value = found[0][column]
            cut = re.search(step.get("pattern", "(?s)(.*)"), str(value))
            assert cut, (step["run"], value)
            self._words[variable] = cut[1]

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return Template(value).safe_substitute(self._words)
        if isinstance(value, Mapping):
            return {self._filled(key): self._filled(one) for key, one in value.items()}
        return [self._filled(one) for one in value] if isinstance(value, list) else value


def _read(path: Path) -> dict[str, Story]:
    found: dict[str, Story] = yaml_files.read(path)
    return found


def _has(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(json.dumps(row.get(column)) == json.dumps(value) for column, value in wanted.items())


def _fails(openstack: OpenStackCommand, line: str, words: str) -> None:
    with pytest.raises(CommandFailed, match=re.escape(words)):
        openstack.text(line)
