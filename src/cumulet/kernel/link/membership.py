# SPDX-License-Identifier: Apache-2.0
"""What a host keeps once it has joined: its key and certificate, the authority that it trusts, whom to dial.

host.pem        the private key and its certificate, in one file, so that they change together
authority.pem   the certificate of the cloud's authority, pinned by the join token
urls            where the control plane is, one replica a line
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from cumulet.kernel import clock
from cumulet.kernel.link import certificates, ways
from cumulet.kernel.link.certificates import Holder
from cumulet.kernel.link.names import MEMBERSHIP, NotJoined
from cumulet.kernel.secrets import write_private

_END_OF_KEY = "-----END PRIVATE KEY-----\n"


class Membership:
    """The membership kept in the agent's folder `agent`."""

    def __init__(self, agent: Path) -> None:
        self._folder = agent / MEMBERSHIP
        self._host = self._folder / "host.pem"
        self._authority = self._folder / "authority.pem"
        self._urls = self._folder / "urls"

    def is_there(self) -> bool:
        return self._host.exists()

    def keep(self, key: str, certificate: str, authority: str, urls: Sequence[str]) -> None:
        """Become a member, in the place of whatever was there."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._authority, authority)
        self.keep_urls(urls)
        write_private(self._host, key + certificate)

    def keep_urls(self, urls: Sequence[str]) -> None:
        """Dial these from now on. Raises ValueError for what is no URL."""
        lines = [f"{ways.address(*ways.parse(url))}\n" for url in urls]
        write_private(self._urls, "".join(lines))

    def replace(self, key: str, certificate: str) -> None:
        """Keep the next key with its certificate."""
        write_private(self._host, key + certificate)

    def holder(self) -> Holder:
        """Whom the certificate speaks of, and until when. Raises NotJoined."""
        try:
            return certificates.holder(self._pair()[1])
        except (ValueError, OSError):
            raise NotJoined(f"{self._host} cannot be read: join again with a new token") from None

    def must_be(self, host: str) -> None:
        """Raise NotJoined unless this is the membership of `host` and its certificate is good."""
        held = self.holder()
        if held.name != host:
            raise NotJoined(f"this machine has joined as host {held.name} and is now called {host} (setting `host`)")
        if held.until <= clock.now():
            day = clock.iso_z(clock.from_seconds(held.until))
            raise NotJoined(f"the certificate of host {host} ended on {day}: join again with a new token")

    def urls(self) -> list[str]:
        """Where the control plane is. Raises NotJoined."""
        try:
            return self._urls.read_text(encoding="utf-8").split()
        except OSError:
            raise NotJoined(f"{self._urls} cannot be read: join again with a new token") from None

    def context(self) -> ssl.SSLContext:
        """The TLS context for the next dial; the files are read now. Raises OSError."""
        key, certificate = self._pair()
        return certificates.client_context(self._authority.read_text(encoding="ascii"), certificate, key)

    def ways(self, silence: float) -> list[ways.TlsWay]:
        """How to dial each replica. Raises NotJoined."""
        return [ways.TlsWay(*ways.parse(url), self.context, silence=silence) for url in self.urls()]

    def _pair(self) -> tuple[str, str]:
        key, end, certificate = self._host.read_text(encoding="ascii").partition(_END_OF_KEY)
        return key + end, certificate
