# SPDX-License-Identifier: Apache-2.0
"""Rows of objects put straight into a container's databases, by Swift's own Python: uploads would take an hour.

python swift_rows.py CONF_DIR DEVICES ACCOUNT CONTAINER FILE_OF_NAMES
"""

import sys
import time
from pathlib import Path

from swift.common import utils

BATCH = 10_000


def main() -> None:
    conf, devices, account, container, names = sys.argv[1:]
    utils.SWIFT_CONF_FILE = f"{conf}/swift.conf"
    utils.validate_hash_conf()
    from swift.common.ring import Ring
    from swift.container.backend import ContainerBroker

    part, nodes = Ring(f"{conf}/container.ring.gz").get_nodes(account, container)
    name_hash = utils.hash_path(account, container)
    rows = [_row(name) for name in Path(names).read_text().split("\n")]
    for node in nodes:
        folder = Path(devices, node["device"], utils.storage_directory("containers", part, name_hash))
        broker = ContainerBroker(str(folder / f"{name_hash}.db"), account=account, container=container)
        for start in range(0, len(rows), BATCH):
            broker.merge_items([dict(row) for row in rows[start : start + BATCH]])


def _row(name: str) -> dict[str, object]:
    return {
        "name": name,
        "created_at": utils.Timestamp(time.time()).internal,
        "size": 1024,
        "content_type": "application/octet-stream",
        "etag": "d41d8cd98f00b204e9800998ecf8427e",
        "deleted": 0,
        "storage_policy_index": 0,
        "ctype_timestamp": None,
        "meta_timestamp": None,
    }


if __name__ == "__main__":
    main()
