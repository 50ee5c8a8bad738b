# SPDX-License-Identifier: Apache-2.0
"""TLS certificates of the cloud's services: issued by name, renewed, revoked, and listed.

Their authority is made as that of the links (`kernel.link.authority`), with a key of its own, so that who trusts it for
the API trusts nobody for a link, and the other way round. What was issued is noted in the vault; private keys are not
kept: they are handed to the caller once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.kernel.link.authority import Authority
from cumulet.kernel.link.names import is_host_name
from cumulet.kernel.vault import Vault

AUTHORITY = "service.authority"
ISSUED = "service.certificates"
KEEP = 30 * 86_400.0  # seconds after its end that a certificate is still listed and stands in the list of the revoked


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate of the service `name`, good for `hosts`. Times are seconds since the epoch."""

    name: str
    hosts: tuple[str, ...]
    serial: str
    since: float
    until: float
    revoked_at: float | None = None

    @property
    def lives(self) -> bool:
        return self.revoked_at is None and self.until > clock.now()


class Handed(msgspec.Struct, frozen=True):
    """What is handed out once: the certificate and its private key, as PEM."""

    issued: Issued
    certificate: str
    key: str


class ServiceCertificates:
    """The certificates of the cloud whose secrets are in `vault`. Methods may raise NoMasterKey."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._authority = Authority(vault, secret=AUTHORITY, name="Cumulet service authority")

    @property
    def authority(self) -> str:
        """The authority's certificate, as PEM: what clients are to trust."""
        return self._authority.certificate

    def issue(self, name: str, hosts: Sequence[str], lifetime: float) -> Handed:
        """A first certificate of a service, good for these names and addresses, for `lifetime` seconds.

        Raises Invalid, and Conflict where the service has one that lives: `renew` that.
        """
        if not is_host_name(name):
            raise Invalid(f"{name!r} cannot be the name of a service")
        if not hosts:
            raise Invalid("a certificate needs a name or an address that it is good for")
        if any(one.lives for one in self.of(name)):
            raise Conflict(f"the service {name} has a certificate: renew it, or revoke it first")
        return self._hand(name, hosts, lifetime)

    def renew(self, name: str, lifetime: float) -> Handed:
        """The next certificate of a service with a new key; the one before stays good until its end."""
        last = self.of(name)[-1:]
        if not last:
            raise NotFound(f"no certificate was issued for a service {name}")
        return self._hand(name, last[0].hosts, lifetime)

    def revoke(self, name: str) -> int:
        """Declare all certificates of a service that live invalid; how many. Raises NotFound."""
        now, mine = clock.now(), {one.serial for one in self.of(name) if one.lives}
        if not mine:
            raise NotFound(f"the service {name} has no certificate that lives")

        def change(issued: list[Issued]) -> list[Issued]:
            return [msgspec.structs.replace(one, revoked_at=now) if one.serial in mine else one for one in issued]

        self._change(change)
        return len(mine)

    def find_all(self) -> list[Issued]:
        """What was issued and is not long over, the oldest first."""
        return _decode(self._vault.get(ISSUED))

    def of(self, name: str) -> list[Issued]:
        """Those of one service, the oldest first."""
        return [one for one in self.find_all() if one.name == name]

    def revoked(self, lifetime: float) -> str:
        """The list of the revoked (a CRL), as PEM, good for `lifetime` seconds."""
        serials = {int(one.serial): one.revoked_at for one in self.find_all() if one.revoked_at is not None}
        return self._authority.revoked(serials, lifetime)

    def _hand(self, name: str, hosts: Sequence[str], lifetime: float) -> Handed:
        certificate, key, serial, until = self._authority.issue_service(name, hosts, lifetime)
        new = Issued(name=name, hosts=tuple(hosts), serial=str(serial), since=clock.now(), until=until)
        self._change(lambda issued: [*issued, new])
        return Handed(new, certificate, key)

    def _change(self, change: Callable[[list[Issued]], list[Issued]]) -> None:
        def kept(packed: bytes | None) -> bytes:
            oldest = clock.now() - KEEP
            return msgspec.json.encode([one for one in change(_decode(packed)) if one.until > oldest])

        self._vault.change(ISSUED, kept)


def _decode(packed: bytes | None) -> list[Issued]:
    return msgspec.json.decode(packed, type=list[Issued]) if packed is not None else []
