# SPDX-License-Identifier: Apache-2.0
"""A whole cloud of two hosts on one machine, in processes of its own.

The first host is the machine itself, with control plane, data process and agent (`RealCloud`). The second is a network
namespace joined to it by a cable, with an agent that has joined over TLS and keeps its state in a folder of its own.
"""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace, in_thread
from support.real_cloud import RealCloud, until

FIRST, SECOND = "host-1", "host-2"
WIRE_MTU = 1500


class TwoHosts(RealCloud):
    """`up` and `down` are the whole life; `stop_second` and `start_second` are those of the second host's agent."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        mark = secrets.token_hex(3)
        net = f"198.19.{secrets.randbelow(254) + 1}"
        self.second_state = state.parent / f"{state.name}2"
        self.second = Namespace(f"two-{mark}")
        self.addresses = (f"{net}.1", f"{net}.2")
        self._wire = f"two{mark}"
        self._agent: subprocess.Popen[bytes] | None = None
        self.use(
            {
                "host": FIRST,
                "link.host": self.addresses[0],
                "link.port": str(_free_port()),
                "network.tunnel_address": self.addresses[0],
                "network.tunnel_port": str(20000 + secrets.randbelow(20000)),
                "network.egress": "false",
            }
        )

    def up(self) -> None:
        """Start both hosts; returns once both have joined."""
        in_thread(self._lay_wire, "wire")
        self.command("up")
        token = self.command("host", "token", "--name", SECOND).split()[-1]
        self.start_second(token)

    def down(self) -> None:
        """End everything and take everything away."""
        try:
            self.stop_second()
            self._second_command("agent", "--drain")
            self.command("down")
        finally:
            self.second.delete()
            in_thread(self._cut_wire, "wire")

    def start_second(self, token: str = "") -> None:
        """Start the second host's agent and wait for its link; with `token` it joins first."""
        words = self._second_words("agent", *(["--join", "-", self._url()] if token else []))
        self.second_state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.second_state / "agent.log").open("ab") as sink:
            self._agent = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=sink, stderr=sink)
        assert self._agent.stdin is not None
        self._agent.stdin.write(f"{token}\n".encode())
        self._agent.stdin.close()
        until("the second host's link", lambda: SECOND in self.linked())

    def stop_second(self, number: int = signal.SIGTERM) -> None:
        """End the second host's agent, its servers and networks go on."""
        if self._agent is not None:
            self._agent.send_signal(number)
            self._agent.wait(60)
            self._agent = None

    def linked(self) -> set[str]:
        """The hosts whose links stand."""
        listed = json.loads(self.command("host", "list", "--json"))
        return {item["name"] for item in listed if item["reported_at"] is not None}

    def last_words(self) -> str:
        """See `RealCloud`; with those of the second host."""
        log = self.second_state / "agent.log"
        own = log.read_text(errors="replace")[-4000:] if log.exists() else ""
        return f"{super().last_words()}\n--- second host\n{own}"

    def _url(self) -> str:
        return f"https://{self.addresses[0]}:{self.flags['link.port']}"

    def _second_words(self, *words: str) -> list[str]:
        own = {
            **{name: value for name, value in self.flags.items() if name.startswith(("network.", "compute."))},
            "state": str(self.second_state),
            "host": SECOND,
            "network.tunnel_address": self.addresses[1],
        }
        argv = ["nsenter", f"--net={self.second.path}", sys.executable, "-m", "cumulet.cli"]
        for name, value in own.items():
            argv += ["--set", f"{name}={value}"]
        return [*argv, *words]

    def _second_command(self, *words: str) -> None:
        done = subprocess.run(
            self._second_words(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr

    def _lay_wire(self) -> None:
        self.second.create()
        with Links() as links:
            links.cable(self._wire, "wire0", self.second, mtu=WIRE_MTU)
            links.settle(self._wire)
            links.addresses(self._wire, [f"{self.addresses[0]}/30"])

        def far_end() -> None:
            with Links() as links:
                links.settle("lo")
                links.settle("wire0")
                links.addresses("wire0", [f"{self.addresses[1]}/30"])

        self.second.visit(far_end)

    def _cut_wire(self) -> None:
        with Links() as links:
            links.remove(self._wire)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
