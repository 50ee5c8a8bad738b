# SPDX-License-Identifier: Apache-2.0
"""`python -m bench --clouds CLOUDS_YAML [SCENARIO ...]`: measures any OpenStack cloud on this machine.

    python -m bench --clouds /var/lib/cumulet/clouds.yaml --cloud cumulet --processes /var/lib/cumulet
    python -m bench --clouds clouds.yaml server-list server-show --concurrency 1,4,16

All that it makes is named `bench-*` and removed at the end. Exit status 1 where a scenario failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from bench import logins, measure, processes, report
from bench.client import Client, Refused
from bench.measure import Limits, Row, Subject


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clouds", type=Path, required=True, metavar="FILE", help="a clouds.yaml")
    parser.add_argument("--cloud", metavar="NAME", help="which cloud of it (default: the first)")
    parser.add_argument(
        "--processes",
        type=Path,
        metavar="FOLDER",
        help="tell CPU time too: a folder of NAME.pid files, or Cumulet's state directory",
    )
    measure.add_arguments(parser)
    words = parser.parse_args()
    names, limits = measure.read_arguments(parser, words)
    try:
        login = logins.read(words.clouds, words.cloud)
        top = processes.roots(words.processes) if words.processes else {}
        rows = asyncio.run(_one(words.cloud or "cloud", login, top, names, limits))
    except (logins.BadLogin, logins.NotLoopback, processes.NoProcesses, Refused, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    print("\n" + "\n".join(report.table(rows)))
    if words.json:
        Path(words.json).write_text(json.dumps([row.plain() for row in rows], indent=1) + "\n")
    return 1 if any(row.failed for row in rows) else 0


async def _one(label: str, login: logins.Login, top: dict[int, str], names: list[str], limits: Limits) -> list[Row]:
    async with Client(login, limits.timeout) as client:
        return await all_of([Subject(label, client, top)], names, limits)


async def all_of(subjects: list[Subject], names: list[str], limits: Limits) -> list[Row]:
    """Measure, showing each row as it comes, and clean up whatever happens."""
    try:
        return await measure.measure(subjects, names, limits, lambda row: print(report.line(row), flush=True))
    finally:
        for subject in subjects:
            if subject.passing:
                continue
            await subject.client.authenticate()
            for problem in await subject.stock.clear():
                sys.stderr.write(f"bench: left behind in {subject.label}: {problem}\n")


if __name__ == "__main__":
    sys.exit(main())
