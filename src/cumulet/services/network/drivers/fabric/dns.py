# SPDX-License-Identifier: Apache-2.0
"""Names of a network's ports, and what is said to questions about them (RFC 1034, 1035, 6891, 8482, 8020).

Everything follows from the state. What is neither one of the network's names nor one of its addresses is for others to
answer (`resolver.py`). dnspython reads and writes the messages, and is loaded with the first question.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec

from cumulet.services.network.types import HostState, NetworkState

Message: TypeAlias = Any  # dns.message.Message

PORT = 53
TTL = 60  # seconds; a port may have another name soon
LARGEST = 1232  # bytes of an answer over UDP (DNS Flag Day 2020): no more comes out than this for what goes in
PLAIN = 512  # the same for who does not say that more would do
NO_ONES = "openstacklocal"  # the domain of clouds that have none
_TRANSFERS = ("AXFR", "IXFR", "MAILA", "MAILB", "ANY")


class Zone(msgspec.Struct, kw_only=True, frozen=True):
    """What a network knows: addresses by whole name (lower case, no final dot), names by address, and its ranges."""

    domain: str
    names: dict[str, list[str]]
    addresses: dict[str, str]
    ranges: list[str]

    def is_own(self, address: str) -> bool:
        """Whether the address can only be one of the network's."""
        one = ipaddress.ip_address(address)
        return any(one in ipaddress.ip_network(cidr) for cidr in self.ranges)


def zone(network: NetworkState, state: HostState) -> Zone:
    """The names of the network's ports, on this host and on others, of its routers and of its services.

    A port is called as it says, `host-10-0-0-5` where it says nothing; in the domain and without it.
    """
    names: dict[str, list[str]] = {}
    addresses: dict[str, str] = {}
    for called, held in _known(network, state):
        for address in held:
            whole = called or _in(network.domain, "host-" + re.sub(r"[.:]", "-", address))
            addresses.setdefault(address, whole)
            for name in {whole, whole.removesuffix(f".{network.domain}") if network.domain else whole}:
                if address not in names.setdefault(name, []):
                    names[name].append(address)
    ranges = [subnet.cidr for subnet in network.subnets]
    return Zone(domain=network.domain, names=names, addresses=addresses, ranges=ranges)


def ask(text: str, kind: str) -> Message:
    """A question for others, with nothing in it of who asked us."""
    import dns.message

    return dns.message.make_query(text, kind, use_edns=0, payload=LARGEST)


def read(data: bytes) -> Message | None:
    """A question; None for what is none, and may not be answered at all."""
    import dns.exception
    import dns.flags
    import dns.message
    import dns.opcode

    try:
        found = dns.message.from_wire(data, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, UnicodeError):
        return None
    return None if found.flags & dns.flags.QR or found.opcode() != dns.opcode.QUERY else found


def answer(question: Message, known: Zone) -> Message | None:
    """What the network itself says to a question; None for what others have to be asked."""
    import dns.rdataclass
    import dns.rdatatype

    if len(question.question) != 1:
        return refusal(question, "FORMERR")
    asked = question.question[0]
    kind = dns.rdatatype.to_text(asked.rdtype)
    if asked.rdclass != dns.rdataclass.IN or kind in _TRANSFERS:
        return refusal(question, "REFUSED")
    name = asked.name.to_text(omit_final_dot=True).lower()
    address = _reversed(asked.name)
    if address is not None:
        return _named(question, known, address, kind)
    if name in known.names:
        held = [one for one in known.names[name] if (":" in one) == (kind == "AAAA")] if kind in ("A", "AAAA") else []
        return _said(question, kind, held)
    is_bare = "." not in name and kind in ("A", "AAAA")
    is_nowhere = known.domain == NO_ONES and f".{name}".endswith(f".{NO_ONES}")
    return refusal(question, "NXDOMAIN") if is_bare or is_nowhere else None


def refusal(question: Message, code: str) -> Message:
    """An answer with nothing in it but a code (`NXDOMAIN`, `SERVFAIL`)."""
    import dns.rcode

    found = _said(question, "", [])
    found.set_rcode(dns.rcode.from_text(code))
    return found


def pass_on(question: Message, data: bytes) -> Message | None:
    """What another server said to the question, for who asked it; None where it is something else."""
    import dns.exception
    import dns.flags
    import dns.message

    try:
        found = dns.message.from_wire(data, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError, UnicodeError):
        return None
    if not found.flags & dns.flags.QR or found.question != question.question:
        return None
    told = _said(question, "", [])
    told.flags |= found.flags & dns.flags.TC
    told.flags &= ~dns.flags.AA
    told.set_rcode(found.rcode())
    told.answer, told.authority = found.answer, found.authority
    return told


def in_words(said: Message | None) -> tuple[str, list[str]] | None:
    """The code and the values of an answer; None where there is none."""
    import dns.rcode

    if said is None:
        return None
    return dns.rcode.to_text(said.rcode()), sorted(item.to_text() for rrset in said.answer for item in rrset)


def limit(question: Message) -> int:
    """How many bytes the one who asks takes over UDP."""
    return int(min(max(question.payload, PLAIN), LARGEST)) if question.edns >= 0 else PLAIN


def write(said: Message, most: int) -> bytes:
    """As it is sent, cut where it is longer than `most` bytes: then it is asked for again over TCP."""
    data: bytes = said.to_wire(max_size=most, prefer_truncation=True)
    return data


def _said(question: Message, kind: str, values: list[str]) -> Message:
    import dns.flags
    import dns.message
    import dns.rrset

    found = dns.message.make_response(question, recursion_available=True, our_payload=LARGEST)
    found.flags |= dns.flags.AA
    if values:
        found.answer.append(dns.rrset.from_text_list(question.question[0].name, TTL, "IN", kind, values))
    return found


def _named(question: Message, known: Zone, address: str, kind: str) -> Message | None:
    if address in known.addresses:
        return _said(question, kind, [f"{known.addresses[address]}."] if kind == "PTR" else [])
    return refusal(question, "NXDOMAIN") if known.is_own(address) else None


def _reversed(name: Any) -> str | None:
    """The address that is asked about by its name (`5.0.0.10.in-addr.arpa`)."""
    import dns.exception
    import dns.reversename

    try:
        return str(ipaddress.ip_address(dns.reversename.to_address(name)))
    except (dns.exception.DNSException, ValueError):
        return None


def _known(network: NetworkState, state: HostState) -> Iterable[tuple[str, list[str]]]:
    """The names, as far as there are any, and addresses of all that the host knows on the network."""
    for port in state.ports:
        if port.network_id == network.id:
            yield port.dns, [one.address for one in port.addresses]
    for remote in state.remotes:
        if remote.network_id == network.id:
            yield remote.dns, remote.addresses
    for router in state.routers:
        for leg in router.legs:
            if leg.network_id == network.id:
                yield "", [text.split("/")[0] for text in leg.addresses]
    if network.service is not None:
        yield "", [text.split("/")[0] for text in network.service.addresses]


def _in(domain: str, host: str) -> str:
    return f"{host}.{domain}" if domain else host
