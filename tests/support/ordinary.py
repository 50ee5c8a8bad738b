# SPDX-License-Identifier: Apache-2.0
"""A user without any rights, as whom a test that is root runs commands, beside a python that only root may reach."""

from __future__ import annotations

import shutil
import stat
import sys
import tempfile
from pathlib import Path

UID = 12345
_REPOSITORY = Path(__file__).parents[2]
# In mounts of its own: what is closed above the paths needed is opened, /dev/net/tun is as usual distributions have it.
_SCRIPT = """
set -eu
home=$1; uid=$2; shift 2
new=$(mktemp -d)
mount -n -t tmpfs -o mode=755 tmpfs "$new"
mkdir "$new/hidden" "$new/dev"
while [ "$1" != -- ]; do
    closed=$1; needed=$2; shift 2
    if [ ! -e "$new/hidden$closed" ]; then
        mkdir -p "$new/hidden$closed"
        mount -n --rbind "$closed" "$new/hidden$closed"
        mount -n -t tmpfs -o mode=755 tmpfs "$closed"
    fi
    mkdir -p "$needed"
    mount -n --rbind "$new/hidden$needed" "$needed"
done
shift
mknod -m 666 "$new/dev/tun" c 10 200
mount -n --bind "$new/dev/tun" /dev/net/tun
export HOME="$home"
cd "$home"
exec setpriv --reuid="$uid" --regid="$uid" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


class Ordinary:
    """The user, with a `home` of their own until `close`; `prefix` stands before commands that are to be theirs."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="cumulet-user-", dir="/var/tmp"))
        shutil.chown(self.home, UID, UID)
        opened = [word for needed in _needed() for closed in _closed(needed) for word in (str(closed), str(needed))]
        script = ["sh", "-c", _SCRIPT, "sh", str(self.home), str(UID), *opened, "--"]
        self.prefix = ("unshare", "--mount", "--propagation", "private", *script)

    def close(self) -> None:
        shutil.rmtree(self.home)


def _needed() -> set[Path]:
    """What commands read of this installation."""
    return {Path(sys.prefix), Path(sys.base_prefix), _REPOSITORY}


def _closed(path: Path) -> list[Path]:
    """The uppermost folder on the way to `path` that only its owner may pass; none where there is none."""
    return [above for above in reversed(path.parents) if not above.stat().st_mode & stat.S_IXOTH][:1]
