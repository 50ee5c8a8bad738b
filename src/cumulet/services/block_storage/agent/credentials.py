# SPDX-License-Identifier: Apache-2.0
"""This host's certificate under the names by which QEMU looks for it.

The host's membership (`kernel.link.membership`) keeps the key and its certificate in one file, which QEMU takes for
both; links to it are enough, and a renewed certificate is what the next opener reads.
"""

from __future__ import annotations

from pathlib import Path

AUTHORITY, HOST = "authority.pem", "host.pem"
_NAMES = {
    "ca-cert.pem": AUTHORITY,
    "server-cert.pem": HOST,
    "server-key.pem": HOST,
    "client-cert.pem": HOST,
    "client-key.pem": HOST,
}


def lay_out(folder: Path, membership: Path) -> Path:
    """Fill `folder` with links into the folder `membership`, whether its files are there yet or not."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, target in _NAMES.items():
        path = folder / name
        if not path.is_symlink():
            path.symlink_to(membership / target)
    return folder
