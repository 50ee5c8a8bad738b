# SPDX-License-Identifier: Apache-2.0
"""How a policy encodes its objects, and how a fragment tells of its object.

An object is cut into segments; each is encoded into `data` fragments and `parity` more, of which any `data` give it
back. The fragments with one index, of all segments in a row, are what a device keeps of the object (Swift's "fragment
archive"). What that tells of the object stands in headers of Swift's names.
"""

from __future__ import annotations

import msgspec

from cumulet.services.object_store.types.objects import WHOLE, Address, Kind, Outcome, Version

_PREFIX = "x-object-sysmeta-ec-"
ETAG, LENGTH = _PREFIX + "etag", _PREFIX + "content-length"  # of the object
SCHEME, SEGMENT = _PREFIX + "scheme", _PREFIX + "segment-size"


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """`type` is one of pyeclib's, `segment` bytes; each fragment is kept by `copies` devices."""

    type: str
    data: int
    parity: int
    segment: int = 1 << 20
    copies: int = 1

    @property
    def fragments(self) -> int:
        """That differ."""
        return self.data + self.parity

    @property
    def replicas(self) -> int:
        """Of the ring: a place for each fragment that is kept."""
        return self.fragments * self.copies

    def writers(self, needed: int) -> int:
        """How many devices have to have a write; `needed` are the parity fragments that mend one lost fragment.

        Two acknowledged writes have met, and any of them outlives a lost device.
        """
        return max((self.data + needed) * self.copies, self.replicas // 2 + 1)

    def readers(self, writers: int) -> int:
        """How many have to answer, so that one of them knows of each acknowledged write; more where there may be."""
        return max(self.replicas - writers + 1, min(self.data * self.copies, self.replicas // 2 + 1))

    def __str__(self) -> str:
        """As Swift's headers tell it."""
        return f"{self.type} {self.data}+{self.parity}"


def at(address: Address, fragment: int) -> Address:
    """Where a fragment of it lies on a device."""
    return msgspec.structs.replace(address, fragment=fragment)


def fragment_of(whole: Version, scheme: Scheme, fragment: int, size: int, etag: str) -> Version:
    """What a device keeps of the object `whole`; size and etag are those of what lies there."""
    told = {
        ETAG: whole.etag,
        LENGTH: str(whole.size),
        SCHEME: str(scheme),
        SEGMENT: str(scheme.segment),
    }
    return msgspec.structs.replace(whole, size=size, etag=etag, fragment=fragment, system=whole.system | told)


def whole_of(version: Version) -> Version:
    """The object that a fragment is of."""
    if version.kind is Kind.TOMBSTONE:
        return version
    system = dict(version.system)
    etag, size, _, _ = (system.pop(each, "") for each in (ETAG, LENGTH, SCHEME, SEGMENT))
    return msgspec.structs.replace(version, size=_number(size), etag=etag, fragment=WHOLE, system=system)


def scheme_of(version: Version, policy: Scheme) -> Scheme | None:
    """How the object of this fragment was encoded; None where it was not as its policy says now."""
    segment = _number(version.system.get(SEGMENT, ""))
    if version.system.get(SCHEME) != str(policy) or not segment:
        return None
    return msgspec.structs.replace(policy, segment=segment)


def whole_outcome(outcome: Outcome) -> Outcome:
    before, now = (each if each is None else whole_of(each) for each in (outcome.before, outcome.now))
    return msgspec.structs.replace(outcome, before=before, now=now)


def _number(said: str) -> int:
    """0 for what is none: what does not tell of its object has nothing to read."""
    return int(said) if said.isascii() and said.isdecimal() else 0
