# SPDX-License-Identifier: Apache-2.0
"""`cumulet dev record`: plays scenarios on an OpenStack cloud and writes down what it answered."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec
import orjson

from cumulet.cli.recording.client import Cloud, NotThere, read_login
from cumulet.cli.recording.play import play
from cumulet.cli.recording.scenario import BadScenario, names, read, read_given
from cumulet.cli.recording.stable import Fact, facts

FOLDER = Path("tests/recorded")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("scenarios", nargs="*", metavar="SERVICE/SCENARIO", help="these only (a service: all of it)")
    parser.add_argument(
        "--clouds", type=Path, required=True, metavar="FILE", help="a clouds.yaml with an administrator's login"
    )
    parser.add_argument("--cloud", metavar="NAME", help="which cloud of it (default: the first)")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help=f"where scenarios/ and data/ are (default: {FOLDER})"
    )
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER", help="write recordings there (default: data/ in the folder)"
    )
    parser.add_argument("--kind", default="", help="what kind of cloud it is: only scenarios of that kind")
    parser.add_argument("--missing", action="store_true", help="only what has no recording yet")


def run(words: argparse.Namespace) -> int:
    """Record; 1 where a scenario could not be played."""
    scenarios, data = words.folder / "scenarios", words.into or words.folder / "data"
    wanted = [name for name in names(scenarios) if _is_wanted(name, words.scenarios)]
    if words.missing:
        wanted = [name for name in wanted if not (data / f"{name}.json").exists()]
    failed = False
    try:
        cloud = Cloud(read_login(words.clouds, words.cloud))
        cloud.enter()
    except NotThere as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    for name in wanted:
        try:
            scenario = read(scenarios, name)
            if scenario.kind != words.kind:
                continue
            print(name, flush=True)
            write(data / f"{name}.json", facts(play(cloud, scenario, read_given(scenarios, scenario), print)))
        except (NotThere, BadScenario) as error:
            print(f"cumulet: {name}: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


def write(path: Path, found: list[Fact]) -> None:
    """A recording as JSON, one step a line."""
    lines = [orjson.dumps(msgspec.to_builtins(fact), option=orjson.OPT_SORT_KEYS).decode() for fact in found]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def load(path: Path) -> list[Fact]:
    """A recording that `write` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=list[Fact])


def _is_wanted(name: str, wanted: list[str]) -> bool:
    return not wanted or any(name == word or name.startswith(f"{word}/") for word in wanted)
