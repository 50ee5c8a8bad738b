# SPDX-License-Identifier: Apache-2.0
"""The way to the outside world: `pasta` in a namespace of its own carries packets as the host's own connections.

The host forwards nothing and its firewall stays as it is. Routers send to a link-local next hop on the physical
network; behind it packets are hidden behind the address that pasta gave the namespace.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import signal
from pathlib import Path

from cumulet.kernel import run
from cumulet.services.network.drivers.fabric import names, nft
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import NetworkState

HOP = "169.254.1.1"
_LEG = "inside"
_DEVICE = "world"
_NAT = f"""
chain input {{ type filter hook input priority 0; policy drop;
iifname "lo" accept
ct state established,related accept
meta l4proto 1 accept
}}
chain forward {{ type filter hook forward priority 0; policy drop;
ct state established,related accept
iifname "{_LEG}" oifname "{_DEVICE}" accept
}}
chain post {{ type nat hook postrouting priority srcnat; oifname "{_DEVICE}" masquerade; }}
"""


class Pasta:
    """A process that joins the namespace `space` to the outside, by the host's own connections; `pid` is its file."""

    def __init__(self, space: Namespace, pid: Path) -> None:
        self._space = space
        self._pid = pid

    def start(self) -> int:
        """Have it run; the number of changes. Raises CommandFailed where it cannot.

        `--no-map-gw`: without it guests would reach the host's loopback through the gateway's address.
        """
        if self._running() is not None:
            return 0
        words: list[run.Arg] = ["pasta", "--quiet", "--pid", self._pid, "--runas", "0:0", "--config-net", "--no-map-gw"]
        words += ["--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"]
        run.run([*words, "--ns-ifname", _DEVICE, "--netns", self._space.path], timeout=10)
        return 1

    def end(self) -> None:
        process = self._running()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        self._pid.unlink(missing_ok=True)

    def _running(self) -> int | None:
        """The process id, if the one in the file is still this process."""
        try:
            process = int(self._pid.read_text())
            words = Path(f"/proc/{process}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return process if bytes(self._space.path) in words else None


def refusal(scratch: Namespace) -> str | None:
    """Why guests cannot reach beyond this host; None where pasta can join `scratch` to the outside."""
    if shutil.which("pasta") is None:
        return "pasta is not installed"
    pasta = Pasta(scratch, _file(scratch.name))
    try:
        pasta.start()
    except run.CommandFailed as error:
        return f"pasta does not run here: {error.output.partition(chr(10))[0]}"
    finally:
        pasta.end()
    return None


class Egress:
    """Runs and joins pasta where it is wanted and can run."""

    PLUG = "egress0"

    def __init__(self, mark: str, *, wanted: bool) -> None:
        self._wanted = wanted
        self._space = Namespace(names.fabric(mark) + "-world")
        self._pasta = Pasta(self._space, _file(f"cumulet-{mark}"))

    @property
    def hop(self) -> str | None:
        """The next hop that leads outside; None where there is no egress."""
        return HOP if self._wanted else None

    def settle(self, home: Namespace, network: NetworkState, host_address: str) -> int:
        """Have pasta run and its namespace joined to the physical network; the number of changes."""
        if not self._wanted:
            return 0
        changes = 0
        if self._space.create():
            self._space.visit(_first_settings)
            changes += 1
        changes += self._pasta.start()
        changes += home.visit(lambda: self._plug(network))
        inside = str(ipaddress.ip_interface(host_address).network) if host_address else "172.24.4.0/24"
        return changes + self._space.visit(lambda: _settle_inside(inside, network.mtu))

    def keep(self) -> int:
        """Start pasta again if it has ended."""
        return self._pasta.start() if self._wanted and self._space.exists() else 0

    def remove(self) -> None:
        """End pasta and take its namespace away."""
        self._pasta.end()
        self._space.delete()

    def _plug(self, network: NetworkState) -> int:
        with Links() as links:
            links.cable(self.PLUG, _LEG, self._space, mtu=network.mtu)
            links.settle(self.PLUG, mtu=network.mtu, master=names.bridge(network.id))
            return links.changes


def _file(name: str) -> Path:
    return Path("/run") / f"{name}-pasta.pid"


def _settle_inside(inside: str, mtu: int) -> int:
    changes = int(nft.replace("ip", "cumulet", _NAT))
    with Links() as links:
        links.settle(_LEG, mtu=mtu)
        if links.addresses(_LEG, [f"{HOP}/32"]):
            links.on_link(_LEG, inside)
        return changes + links.changes


def _first_settings() -> None:
    sysctl("net/ipv4/ip_forward", "1")
    for which in ("all", "default"):
        sysctl(f"net/ipv4/conf/{which}/rp_filter", "0")
