# SPDX-License-Identifier: Apache-2.0
"""`make bench`: measures a Cumulet of its own on fake drivers, and writes `docs/performance.md`.

    make bench
    make bench ARGS="server-list server-show --repeats 5"
    make bench ARGS="--peer clouds.yaml:other --peer-processes /run/other --peer-name OpenStack"

With `--peer` the other cloud gets the same requests by turns, and the page compares the two. With names of scenarios
the page is not written, unless `--page` says where.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from bench import fill, logins, measure, own_cloud, processes, report
from bench.__main__ import all_of
from bench.client import Client, Refused
from bench.measure import Limits, Row, Subject

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
OURS = "Cumulet"
NOTE = (
    "One machine, the fake hypervisor, network and volumes (servers are records: what is told is the cost of the cloud "
    "itself), SQLite with full durability."
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--peer", metavar="FILE[:NAME]", help="another cloud to measure by turns: a clouds.yaml, and which cloud of it"
    )
    parser.add_argument("--peer-name", default="the other", metavar="WORDS", help="what the page calls it")
    parser.add_argument("--peer-processes", type=Path, metavar="FOLDER", help="a folder of its NAME.pid files")
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"write the page there (default: {PAGE.name})")
    parser.add_argument("--note", default="", metavar="WORDS", help="what else the page is to say of this run")
    parser.add_argument("--keep", action="store_true", help="leave the state directory for a look")
    measure.add_arguments(parser)
    words = parser.parse_args()
    names, limits = measure.read_arguments(parser, words)
    try:
        peer = (_login(words.peer), _roots(words.peer_processes)) if words.peer else None
        with own_cloud.OwnCloud(keep=words.keep) as own:
            ours = (logins.read(own.clouds, "cumulet"), processes.roots(own.state))
            clouds = {OURS: ours} | ({words.peer_name: peer} if peer else {})
            rows = asyncio.run(_all(clouds, partial(fill.providers, own.state), names, limits))
            held = {label: processes.held(top) for label, (_, top) in clouds.items() if top}
    except (logins.BadLogin, logins.NotLoopback, processes.NoProcesses, own_cloud.NotStarted, Refused) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    page = words.page or (None if words.scenarios else PAGE)
    if page is not None:
        page.write_text(report.page(rows, limits, OURS, f"{NOTE} {words.note}".strip(), held))
        print(f"written: {page}")
    if words.json:
        Path(words.json).write_text(json.dumps([row.plain() for row in rows], indent=1) + "\n")
    return 1 if any(row.failed for row in rows) else 0


def _login(place: str) -> logins.Login:
    """The login at FILE:NAME, or the first one in FILE."""
    file, _, name = place.partition(":")
    return logins.read(Path(file), name or None)


def _roots(folder: Path | None) -> dict[int, str]:
    return processes.roots(folder) if folder is not None else {}


async def _all(
    clouds: dict[str, tuple[logins.Login, dict[int, str]]],
    own_fill: Callable[[int, int], None],
    names: list[str],
    limits: Limits,
) -> list[Row]:
    async with AsyncExitStack() as stack:
        subjects = []
        for label, (login, top) in clouds.items():
            client = await stack.enter_async_context(Client(login, limits.timeout))
            is_ours = label == OURS
            subjects.append(Subject(label, client, top, passing=is_ours, fill=own_fill if is_ours else None))
        return await all_of(subjects, names, limits)


if __name__ == "__main__":
    sys.exit(main())
