# SPDX-License-Identifier: Apache-2.0
"""A libvirt daemon of the tests' own: its folders, its users and its network are in namespaces that end with it.

It needs root, or a user namespace. Nothing of the machine's own libvirt, if there is one, is seen or touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.waiting import until

_FOLDERS = ("etc/libvirt", "var/lib/libvirt", "run/libvirt", "var/cache/libvirt", "var/log/libvirt", "dev")
# What Debian's package sets up for a machine is laid over the machine's own files. There is no /dev/kvm, for the daemon
# would try for seconds what it is good for.
_START = r"""
set -e
for folder in etc/libvirt var/lib/libvirt run/libvirt var/cache/libvirt var/log/libvirt; do
    [ -d /$folder ] || mkdir -p /$folder
    mount --bind $1/$folder /$folder
done
for file in passwd group; do mount --bind $1/etc/$file /etc/$file; done
mount -t tmpfs devices $1/dev
for node in null zero full random urandom tty ptmx; do touch $1/dev/$node; mount --bind /dev/$node $1/dev/$node; done
for node in net pts shm; do mkdir $1/dev/$node; mount --rbind /dev/$node $1/dev/$node; done
mount --move $1/dev /dev
ip link set lo up
exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/libvirtd.pid
"""
_QEMU_CONF = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
nbd_tls_x509_cert_dir = "{certificates}"
"""
_USER = "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin\n"


class Daemon:
    """One daemon, which can be ended and begun again while its domains run on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.certificates = folder / "certificates"  # by which disks of other hosts are opened
        self._socket = folder / "run/libvirt/libvirt-sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._network = -1
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True)
        for name, line in (("passwd", _USER), ("group", "libvirt-qemu:x:64055:\n")):
            (folder / "etc" / name).write_text(Path("/etc", name).read_text() + line)
        self.certificates.mkdir()
        (folder / "etc/libvirt/qemu.conf").write_text(_QEMU_CONF.format(certificates=self.certificates))
        (folder / "etc/libvirt/libvirtd.conf").write_text('auth_unix_rw = "none"\nlog_outputs = "4:stderr"\n')

    @property
    def uri(self) -> str:
        return f"qemu+unix:///system?socket={self._socket}"

    def start(self) -> None:
        """Again in the network in which its domains are, where that can be entered."""
        who = [] if os.geteuid() == 0 else ["--map-root-user"]
        network = ["nsenter", f"--net=/proc/self/fd/{self._network}"] if self._network >= 0 else []
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "setpriv",
                    "--pdeathsig",
                    "TERM",
                    *network,
                    "unshare",
                    "--mount",
                    *([] if network else ["--net"]),
                    *who,
                    "sh",
                    "-c",
                    _START,
                    "sh",
                    self.folder,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self._network] if network else [],
            )
        until(self._answers)
        if self._network < 0 and not who:
            self._network = self.network()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        self.stop()
        if self._network >= 0:
            os.close(self._network)

    def network(self) -> int:
        """The network namespace that it and its domains are in, for the caller to close."""
        assert self._process is not None
        return os.open(f"/proc/{self._process.pid}/ns/net", os.O_RDONLY)

    def pid_of(self, server_id: str) -> int:
        """The process of a running domain."""
        return int((self.folder / f"run/libvirt/qemu/{server_id}.pid").read_text())

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        return self._socket.exists()


@contextmanager
def daemon() -> Iterator[Daemon]:
    """A daemon for as long as the `with` lasts; names of sockets are short, so its folder's is too."""
    with tempfile.TemporaryDirectory(prefix="libvirt-") as folder:
        made = Daemon(Path(folder))
        made.start()
        try:
            yield made
        finally:
            made.close()


def is_here() -> bool:
    with suppress(OSError):
        return shutil.which("libvirtd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None
    return False
