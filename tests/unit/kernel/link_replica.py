# SPDX-License-Identifier: Apache-2.0
"""A replica in a process of its own, for tests that kill it: `python link_replica.py URL FOLDER NAME PORT`.

Prints what it hears of hosts, one line each.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from cumulet.kernel.db import Database
from support.link import Replica


def main(url: str, folder: str, name: str, port: str) -> None:
    db = Database.postgres(url) if url.startswith("postgres") else Database.sqlite(Path(url), durable=False)
    replica = Replica(db, Path(folder), name, silence=2.0, port=int(port))
    replica.hosts.on_connect(lambda info, _report: print("joined", info.name, info.generation, flush=True))
    replica.hosts.on_disconnect(lambda info: print("gone", info.name, info.generation, flush=True))
    replica.hosts.on_event("news", lambda host, body: print("news", host, body["n"], flush=True))
    replica.start()
    print("ready", replica.port, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
