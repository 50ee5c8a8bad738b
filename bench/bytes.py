# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.bytes`: images' bytes on their way in and out, beside `cp`; writes `docs/image-speed.md`.

    python -m bench.bytes
    python -m bench.bytes --size 4096 --repeats 5
    python -m bench.bytes --peer clouds.yaml:other --peer-processes /run/other --peer-name Glance

The file lies in the page cache and in the folder of a Cumulet of its own; `cp` and the clouds write to the same disk.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from bench import logins, own_cloud, processes, transfers
from bench.client import Client, Refused
from bench.report import number
from bench.transfers import Cloud, Cost

PAGE = Path(__file__).parent.parent / "docs" / "image-speed.md"
OURS = "Cumulet"
MIB = 1 << 20
Subjects = dict[str, tuple[logins.Login, dict[int, str]]]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.bytes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the image (default: 1024)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs of each (default: 3)")
    parser.add_argument("--peer", metavar="FILE[:NAME]", help="another cloud: a clouds.yaml, and which cloud of it")
    parser.add_argument("--peer-name", default="the other", metavar="WORDS", help="what the page calls it")
    parser.add_argument("--peer-processes", type=Path, metavar="FOLDER", help="a folder of its NAME.pid files")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="where the page goes")
    words = parser.parse_args()
    try:
        with own_cloud.OwnCloud() as own:
            subjects = {OURS: (logins.read(own.clouds, "cumulet"), processes.roots(own.state))}
            if words.peer:
                file, _, name = words.peer.partition(":")
                top = processes.roots(words.peer_processes) if words.peer_processes else {}
                subjects[words.peer_name] = (logins.read(Path(file), name or None), top)
            copies, clouds = asyncio.run(_run(subjects, own.state / "bench-bytes", words.size * MIB, words.repeats))
    except (
        logins.BadLogin, logins.NotLoopback, processes.NoProcesses, own_cloud.NotStarted, Refused, transfers.WrongBytes
    ) as error:  # fmt: skip
        sys.stderr.write(f"bench: {error}\n")
        return 1
    text = "\n".join(_page(copies, clouds, words.size * MIB, words.repeats)) + "\n"
    words.page.write_text(text)
    print(text)
    return 0


async def _run(subjects: Subjects, file: Path, size: int, repeats: int) -> tuple[list[Cost], list[Cloud]]:
    sha512 = transfers.make_file(file, size)
    copies = []
    async with AsyncExitStack() as stack:
        clouds = [
            Cloud(label, await stack.enter_async_context(Client(login)), top)
            for label, (login, top) in subjects.items()
        ]
        for _ in range(repeats):
            copies.append(transfers.copy(file))
            for cloud in clouds:
                await transfers.measure(cloud, file, sha512)
    return copies, clouds


def _page(copies: list[Cost], clouds: Sequence[Cloud], size: int, repeats: int) -> Iterator[str]:
    yield "# Images' bytes: speed and memory"
    yield ""
    yield "Written by `python -m bench.bytes`; never by hand."
    yield ""
    yield (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, "
        f"Linux {'.'.join(platform.release().split('.')[:2])}, Python {platform.python_version()}, "
        f"Cumulet {version('cumulet')}. An image of {size // MIB} MiB of random bytes goes in and comes out over "
        f"loopback, by turns; medians of {repeats} runs. What goes in is on the disk when the answer comes, as with "
        "`cp` and an fsync; the client shares the cores with the cloud. CPU is what all processes of the cloud used, "
        "memory how much more than before the process had that grew most. *Others* is how many cores unrelated "
        "programs kept busy meanwhile: an upload needs all of two, so its time on the clock depends on them."
    )
    yield ""
    yield "| | way | MB/s | of `cp` | CPU s/GiB | memory MiB | others |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    fastest = _rate(copies, size)
    yield f"| `cp` + fsync | | {number(fastest)} | 1.00 | {number(_cpu(copies, size))} | | {_others(copies)} |"
    for cloud in clouds:
        for way, costs in (("in", cloud.uploads), ("out", cloud.downloads)):
            rate = _rate(costs, size)
            memory = max(cost.memory for cost in costs) / MIB
            yield (
                f"| {cloud.label} | {way} | {number(rate)} | {rate / fastest:.2f} | {number(_cpu(costs, size))} "
                f"| {number(memory)} | {_others(costs)} |"
            )


def _rate(costs: Sequence[Cost], size: int) -> float:
    return size / 1e6 / statistics.median(cost.seconds for cost in costs)


def _cpu(costs: Sequence[Cost], size: int) -> float:
    return statistics.median(cost.cpu for cost in costs) * (1 << 30) / size


def _others(costs: Sequence[Cost]) -> str:
    return number(statistics.median(cost.others for cost in costs))


if __name__ == "__main__":
    sys.exit(main())
