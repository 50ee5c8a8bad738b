# SPDX-License-Identifier: Apache-2.0
"""Sockets, cores and threads: what is asked for, what is allowed, and the best that gives all processors a place."""

from __future__ import annotations

from typing import NamedTuple

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.guest.agreement import Wishes

_NO_LIMIT = 65536
_PARTS = ("sockets", "cores", "threads")


class Topology(NamedTuple):
    """0 asks for nothing, or is no limit."""

    sockets: int
    cores: int
    threads: int

    def exceeds(self, limit: Topology) -> bool:
        return any(mine > most for mine, most in zip(self, limit, strict=True))

    @property
    def words(self) -> str:
        return f"(sockets={self.sockets}, cores={self.cores}, threads={self.threads})"


def check(wishes: Wishes) -> tuple[Topology, Topology]:
    """What is preferred and what is the most; Invalid where the image asks for more than it may."""
    flavor_most, image_most = _said(wishes, "cpu_max_")
    if any(most and mine > most for mine, most in zip(image_most, flavor_most, strict=True)):
        raise Invalid(
            f"Image vCPU topology limits {image_most.words} exceeds the limits of the flavor {flavor_most.words}",
            code="ImageVCPULimitsRangeExceeded",
        )
    most = Topology(
        *(mine or theirs or _NO_LIMIT for mine, theirs in zip(image_most, flavor_most, strict=True)),
    )
    flavor_wish, image_wish = _said(wishes, "cpu_")
    if image_wish.exceeds(most):
        raise Invalid(
            f"Image vCPU topology {image_wish.words} exceeds the limits of the flavor or image {most.words}",
            code="ImageVCPUTopologyRangeExceeded",
        )
    if any(image_wish):
        return image_wish, most
    # What a flavor prefers gives way to the limits of the image.
    return Topology(0, 0, 0) if flavor_wish.exceeds(most) else flavor_wish, most


def choose(wishes: Wishes) -> Topology:
    """The topology that fits best; Invalid where there is none for this number of processors."""
    preferred, most = check(wishes)
    count = wishes.flavor.vcpus
    limits = Topology(*(min(count, each) for each in most))
    possible = [
        Topology(sockets, cores, count // sockets // cores)
        for sockets in _divisors(count, limits.sockets)
        for cores in _divisors(count // sockets, limits.cores)
        if count // sockets // cores <= limits.threads
    ]
    if not possible:
        raise Invalid(
            f"Requested vCPU limits {limits.sockets}:{limits.cores}:{limits.threads} are impossible to satisfy for "
            f"vcpus count {count}",
            code="ImageVCPULimitsRangeImpossible",
        )
    return max(possible, key=lambda each: (_score(each, preferred), each.sockets * each.cores, each.sockets))


def _said(wishes: Wishes, prefix: str) -> tuple[Topology, Topology]:
    pairs = [wishes.pair(f"{prefix}{part}") for part in _PARTS]
    try:
        flavor = Topology(*(int(spec or 0) for spec, _ in pairs))
    except ValueError as error:
        raise Invalid(f"Invalid flavor extra spec. Error: {error}", code="InvalidRequest") from None
    return flavor, Topology(*(word or 0 for _, word in pairs))


def _divisors(number: int, most: int) -> list[int]:
    return [each for each in range(1, most + 1) if number % each == 0]


def _score(found: Topology, preferred: Topology) -> int:
    return sum(1 for mine, theirs in zip(found, preferred, strict=True) if theirs and mine == theirs)
