# SPDX-License-Identifier: Apache-2.0
"""This host's certificate for disks, made when it is first needed, under the names by which QEMU looks for it.

It is another one than the host's link has, so that the processes which show it cannot speak for the host. The key and
its certificate are in one file, which QEMU takes for both, so that they change together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.errors import CumuletError, NotReady
from cumulet.kernel.secrets import write_private

ASK = "volume.certificate"  # the control plane's verb: `{request}` is answered by `{certificate, authority}`
KEEP = 240 * 86_400.0  # seconds that must be left of a certificate for a new opener, if a new one can be had
AUTHORITY, HOST = "authority.pem", "host.pem"
_NAMES = {
    "ca-cert.pem": AUTHORITY,
    "server-cert.pem": HOST,
    "server-key.pem": HOST,
    "client-cert.pem": HOST,
    "client-key.pem": HOST,
}


class Credentials:
    """The certificate of the host called `name`, kept in `folder`; `call` asks the control plane."""

    def __init__(self, folder: Path, name: str, call: Callable[..., Any]) -> None:
        self._folder = folder
        self._name = name
        self._call = call
        self._lock = threading.Lock()

    def ready(self) -> Path:
        """The folder, with a certificate in it. Raises NotReady where there is none and the control plane is away."""
        with self._lock:
            left = self._left()
            if left < KEEP:
                try:
                    self._renew()
                except CumuletError:
                    if left <= 0:
                        raise
            return lay_out(self._folder)

    def _left(self) -> float:
        # Loaded late: most hosts never need it, and it takes a tenth of a second.
        from cumulet.kernel.link import certificates

        try:
            text = (self._folder / HOST).read_text(encoding="ascii")
            return certificates.holder(text[text.index("-----BEGIN CERTIFICATE") :]).until - clock.now()
        except (OSError, ValueError):
            return 0.0

    def _renew(self) -> None:
        from cumulet.kernel.link import certificates

        key = certificates.new_key()
        answer = self._call(ASK, {"request": certificates.request(key, self._name)})
        if not isinstance(answer, dict) or not {"certificate", "authority"} <= answer.keys():
            raise NotReady("the control plane gives no certificates for disks")
        write_private(self._folder / AUTHORITY, str(answer["authority"]))
        write_private(self._folder / HOST, key + str(answer["certificate"]))


def lay_out(folder: Path) -> Path:
    """Let QEMU find what is in `folder`."""
    for name, target in _NAMES.items():
        path = folder / name
        if not path.is_symlink():
            path.symlink_to(target)
    return folder
