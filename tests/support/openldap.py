# SPDX-License-Identifier: Apache-2.0
"""An OpenLDAP server of the tests' own: on loopback, in a folder that goes with it."""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from support.certificates import self_signed
from support.waiting import until

PROGRAMS = Path("/usr/sbin")
PATIENCE = 30.0
SUFFIX = "dc=example,dc=org"
READER, PASSWORD = f"cn=reader,{SUFFIX}", "the reader's password"
_SCHEMA = "\n".join(f"include /etc/ldap/schema/{name}.schema" for name in ("core", "cosine", "inetorgperson"))


def entry(name: str, classes: str, **values: Any) -> str:
    """One entry of an LDIF; `values` are attributes, each of one value or of several."""
    lines = [f"dn: {name}", *(f"objectClass: {one}" for one in classes.split())]
    for attribute, said in values.items():
        lines += [f"{attribute}: {value}" for value in (said if isinstance(said, tuple | list) else (said,))]
    return "\n".join(lines) + "\n\n"


class OpenLdap:
    """One server that holds what an LDIF says below SUFFIX; it ends with the test process, however that ends."""

    def __init__(self, ldif: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="cumulet-ldap-"))
        self.authority = self._folder / "certificate.pem"
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        key, certificate = self_signed(name, "127.0.0.1")
        (self._folder / "key.pem").write_bytes(key)
        self.authority.write_bytes(certificate)
        (self._folder / "data").mkdir()
        self._configuration = self._folder / "slapd.conf"
        self._configuration.write_text(
            f"{_SCHEMA}\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {self._folder}/pid\n"
            f"TLSCertificateFile {self.authority}\nTLSCertificateKeyFile {self._folder}/key.pem\n"
            f"database mdb\nmaxsize 16777216\ndbnosync\nsuffix {SUFFIX}\ndirectory {self._folder}/data\n"
            f'rootdn "{READER}"\nrootpw "{PASSWORD}"\n'
            "access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by * none\n"
        )
        (self._folder / "data.ldif").write_text(ldif)
        self._run("slapadd", "-q", "-f", str(self._configuration), "-l", str(self._folder / "data.ldif"))
        ports = [_free_port(), _free_port()]
        self.url, self.tls_url = f"ldap://127.0.0.1:{ports[0]}", f"ldaps://127.0.0.1:{ports[1]}"
        self._process = subprocess.Popen(
            [PROGRAMS / "slapd", "-d", "0", "-f", self._configuration, "-h", f"{self.url}/ {self.tls_url}/"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent,
        )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while not all(_answers(port) for port in ports):
            assert self._process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)

    def hold(self) -> None:
        """Let it accept callers, and answer none, from when this returns."""
        self._process.send_signal(signal.SIGSTOP)
        until(self._stands)

    def _stands(self) -> bool:
        """Whether the last of its threads has stopped."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/stat")
        return all(each.read_text().rpartition(") ")[2][0] == "T" for each in threads)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        shutil.rmtree(self._folder)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run([PROGRAMS / program, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
