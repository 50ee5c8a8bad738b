# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.rings`: rings made and read by Cumulet and by Swift, in one run.

    python -m bench.rings --peer VENV/bin/python --page docs/rings-beside-swift.md

Told is the CPU time, by the best of the turns: what else the machine does only ever adds to it. Both read the same
ring, and must find the same devices for the same names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import ring_steps as steps

ROOT = Path(__file__).parents[1]
Told = dict[str, Any]  # `seconds` by step, and `notes`


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.rings", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, required=True, metavar="PYTHON", help="a Python that has Swift")
    parser.add_argument("--power", type=int, default=18)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--builds", type=int, default=1, help="turns in which rings are made")
    parser.add_argument("--repeats", type=int, default=5, help="turns in which they are read")
    parser.add_argument("--page", type=Path, help="the page to write")
    words = parser.parse_args(argv)
    size = [str(number) for number in (words.power, words.replicas, words.devices)]
    with tempfile.TemporaryDirectory() as folder:
        turns = [("build", words.builds), ("look-up", words.repeats)]
        told = {who: [] for who in ("ours", "peer")}
        for part, times in turns:
            for _ in range(times):
                for who, python in (("ours", sys.executable), ("peer", str(words.peer))):
                    told[who].append(_run([python, "-m", f"bench.ring_{who}", part, folder, *size]))
    text = "\n".join(page(best(told["ours"]), best(told["peer"]), words)) + "\n"
    if words.page is None:
        print(text, end="")
    else:
        words.page.write_text(text)
    return 0


def best(turns: Sequence[Told]) -> Told:
    """The least seconds of each step, and all notes."""
    found: Told = {"seconds": {}, "notes": {}}
    for turn in turns:
        for name, seconds in turn["seconds"].items():
            found["seconds"][name] = min(seconds, found["seconds"].get(name, seconds))
        peak = max(turn["notes"]["peak"], found["notes"].get("peak", 0))
        found["notes"] |= {**turn["notes"], "peak": peak}
    return found


def page(ours: Told, peer: Told, words: argparse.Namespace) -> Iterator[str]:
    """The page of a run. ValueError where the two do not find the same."""
    if ours["notes"]["found"] != peer["notes"]["found"]:
        raise ValueError("the two do not find the same devices")
    yield "# Rings, beside Swift's"
    yield ""
    yield "Written by `python -m bench.rings --peer VENV/bin/python --page docs/rings-beside-swift.md`; never by hand."
    yield ""
    yield (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, Swift "
        f"{peer['notes']['version']}. A ring of 2^{words.power} partitions with {words.replicas} replicas on "
        f"{words.devices} devices in {steps.ZONES} zones. CPU of one process, by turns; the best of {words.builds} for "
        f"what is made and of {words.repeats} for what is read. Both read the same file and find the same devices."
    )
    yield ""
    yield from _makes(ours["seconds"], peer["seconds"])
    yield ""
    yield from _notes(ours["notes"], peer["notes"])
    yield ""
    yield from _reads(ours["seconds"], peer["seconds"])


def _makes(ours: dict[str, float], peer: dict[str, float]) -> Iterator[str]:
    yield "| CPU s | Cumulet | Swift | ratio |"
    yield "| --- | ---: | ---: | ---: |"
    for name in (steps.FIRST, steps.ADD, steps.REMOVE, steps.WRITE, steps.READ):
        yield f"| {name} | {ours[name]:.2f} | {peer[name]:.2f} | {peer[name] / ours[name]:.1f} |"


def _notes(ours: Told, peer: Told) -> Iterator[str]:
    yield "| | Cumulet | Swift |"
    yield "| --- | ---: | ---: |"
    for number, name in enumerate(("balance", "dispersion")):
        yield f"| {name} after the first, % | {ours['quality'][number]:.3f} | {peer['quality'][number]:.3f} |"
    for number, name in enumerate((steps.ADD, steps.REMOVE)):
        yield f"| replicas moved: {name} | {ours['moved'][number]} | {peer['moved'][number]} |"
    yield f"| largest process, MB | {ours['peak']} | {peer['peak']} |"


def _reads(ours: dict[str, float], peer: dict[str, float]) -> Iterator[str]:
    yield "| look-ups for a CPU second | Cumulet | Swift | ratio |"
    yield "| --- | ---: | ---: | ---: |"
    for name in (steps.FIND, steps.AGAIN, steps.CONTAINER, steps.HANDOFFS):
        count = steps.PARTS if name == steps.HANDOFFS else steps.NAMES
        yield f"| {name} | {count / ours[name]:,.0f} | {count / peer[name]:,.0f} | {peer[name] / ours[name]:.1f} |"
    yield ""
    least = ours[steps.HASH]
    yield (
        "The first time Cumulet puts a partition and its devices together, and keeps that; Swift does so each time. "
        f"MD5 alone, of names that lie ready as bytes, does {steps.NAMES / least:,.0f} names a second: "
        f"{peer[steps.AGAIN] / least:.0f} times what Swift looks up, and no look-up of one name can be quicker."
    )


def _run(command: Sequence[str]) -> Told:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONPATH"] = str(ROOT / "src") if command[0] == sys.executable else ""
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, timeout=3600)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
