# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.objects`: the object store beside real Swift and nginx, in one run; writes a page.

    python -m bench.objects --swift VENV --page docs/object-store-beside-swift.md
    python -m bench.objects --only cumulet3,nginx --sizes 16M --at-once 1 --seconds 3

All servers run at once, each on a folder below `--folder`, and are asked by turns; nothing else of theirs is at work
then. Swift is installed by pip into VENV where it is not there. Debian: memcached, nginx-light, liberasurecode-dev.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from bench import object_cells as cells
from bench import object_servers as servers
from bench import processes
from bench.object_cells import Cell
from bench.object_load import Refused
from bench.object_page import Told, page
from bench.object_servers import Server
from bench.own_cloud import NotStarted

KINDS = ("cumulet3", "swift3", "cumulet1", "swift1", "nginx")
MOST = {1 << 10: 4000, 1 << 16: 2000, 1 << 20: 300}  # requests of a burst by size; of larger ones 48


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.objects", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--swift", type=Path, metavar="VENV", help="an environment with Swift, or where to make one")
    parser.add_argument("--only", default=",".join(KINDS), metavar="KIND,...", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--sizes", default="1K,64K,1M,16M", metavar="SIZE,...", help="of objects")
    parser.add_argument("--at-once", default="1,8,32", metavar="N,...", help="connections")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a burst")
    parser.add_argument("--repeats", type=int, default=2, help="turns of each burst")
    parser.add_argument("--stream", default="1G", metavar="SIZE", help="of the long streams; 0: none")
    parser.add_argument("--no-listings", action="store_true")
    parser.add_argument(
        "--folder", type=Path, metavar="FOLDER", help="on the disk that is meant (default: of temporary files)"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="the page to write")
    words = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers end with it
    folder = Path(tempfile.mkdtemp(prefix="cumulet-bench-", dir=words.folder))
    try:
        told = _run(words, folder)
    except (NotStarted, Refused, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = "\n".join(page(told)) + "\n"
    if words.page is not None:
        words.page.write_text(text)
    print(text)
    return 0


def _run(words: argparse.Namespace, folder: Path) -> Told:
    kinds = words.only.split(",")
    with ExitStack() as stack:
        every = {kind: stack.enter_context(_server(kind, folder / kind, words)) for kind in kinds}
        for server in every.values():
            server.make_container(cells.CONTAINER)
        told = Told(
            heading=_heading(words),
            idle={kind: processes.held(server.top) for kind, server in every.items()},
            md5=cells.md5(),
        )
        crowd = processes.Bystanders({pid: name for server in every.values() for pid, name in server.top.items()})
        told.bursts = _bursts(every, words)
        told.streams = _streams(every, words)
        told.others = crowd.cores()
        told.busy = {kind: processes.held(server.top) for kind, server in every.items()}
        if not words.no_listings:
            told.listings = _listings(every)
        return told


def _server(kind: str, folder: Path, words: argparse.Namespace) -> Server:
    if kind == "nginx":
        return servers.Nginx(folder)
    name, replicas = kind[:-1], int(kind[-1])
    if name == "cumulet":
        return servers.Cumulet(folder, replicas)
    if name != "swift" or words.swift is None:
        raise NotStarted(f"{kind}: say --swift VENV, or --only without it")
    return servers.Swift(folder, replicas, servers.swift_in(words.swift.absolute()))


def _bursts(every: dict[str, Server], words: argparse.Namespace) -> dict[tuple[str, int, int, str], Cell]:
    found: dict[tuple[str, int, int, str], Cell] = defaultdict(Cell)
    for size in cells.sizes(words.sizes):
        objects = {kind: cells.Objects(server, size) for kind, server in every.items()}
        for work in objects.values():
            work.turn(8, words.seconds / 3, MOST.get(size, 48))  # what comes first makes threads and connections
        for at_once in map(int, words.at_once.split(",")):
            for _ in range(words.repeats):
                for kind, work in objects.items():
                    most = max(MOST.get(size, 48), at_once)
                    for verb, sample in work.turn(at_once, words.seconds, most).items():
                        found[verb, size, at_once, kind].samples.append(sample)
            for verb in ("PUT", "GET"):
                _say(f"{verb} {cells.written(size)} x{at_once}", {k: found[verb, size, at_once, k] for k in every})
    return found


def _streams(every: dict[str, Server], words: argparse.Namespace) -> dict[tuple[str, str], Cell]:
    found: dict[tuple[str, str], Cell] = defaultdict(Cell)
    (size,) = cells.sizes(words.stream)
    for _ in range(words.repeats + 1 if size else 0):
        for kind, server in every.items():
            for verb, sample in cells.stream(server, size).items():
                sample.size = size
                found[verb, kind].samples.append(sample)
    for verb in dict.fromkeys(verb for verb, _ in found):
        _say(f"stream {verb}", {k: found[verb, k] for k in every if (verb, k) in found}, size)
    return found


def _listings(every: dict[str, Server]) -> dict[tuple[str, str], Cell]:
    found: dict[tuple[str, str], Cell] = defaultdict(Cell)
    names = cells.names()
    filled = {}
    for kind, server in every.items():
        if kind == "nginx" or (kind[:-1] + "3" in every and kind[-1] != "3"):
            continue  # one replica is read, however many there are
        server.make_container(cells.LISTED)
        server.fill(cells.LISTED, names)
        filled[kind] = server
    for _ in range(2):
        for kind, server in filled.items():
            for title, sample in cells.listings(server).items():
                found[title, kind].samples.append(sample)
    for title in dict.fromkeys(title for title, _ in found):
        _say(f"list {title}", {k: found[title, k] for k in filled})
    return found


def _say(title: str, found: dict[str, Cell], size: int = 0) -> None:
    words = [
        f"{kind} {cell.cpu:9.3f} CPU s/1k {cell.rate * (size / 1e6 or 1):8.1f} {'MB/s' if size else '/s'}"
        for kind, cell in found.items()
    ]
    print(f"{title:28} " + " | ".join(words), file=sys.stderr, flush=True)


def _heading(words: argparse.Namespace) -> str:
    release = ".".join(platform.release().split(".")[:2])
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, Linux {release}, Python {platform.python_version()}, "
        f"Cumulet {version('cumulet')}, {servers.SWIFT.replace('==', ' ')}; bursts of {words.seconds} s, "
        f"{words.repeats} turns of each."
    )


if __name__ == "__main__":
    sys.exit(main())
