# SPDX-License-Identifier: Apache-2.0
"""Where services meet: an implementation offered and found by its Protocol, within one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Contracts:
    """A table of Protocol to implementation; each is made at its first use, so that start-up loads no service."""

    def __init__(self) -> None:
        self._makers: dict[type, Callable[[], Any]] = {}
        self._made: dict[type, Any] = {}

    def offer(self, protocol: type[T], make: Callable[[], T]) -> None:
        """Say who implements `protocol`; a second offer of the same Protocol is an error."""
        if protocol in self._makers:
            raise ValueError(f"{protocol.__qualname__} is offered twice")
        self._makers[protocol] = make

    def offers(self, protocol: type) -> bool:
        return protocol in self._makers

    def use(self, protocol: type[T]) -> T:
        """The implementation of `protocol`; LookupError where nobody offers it."""
        made = self._made.get(protocol)
        if made is None:
            if protocol not in self._makers:
                raise LookupError(f"nobody here offers {protocol.__qualname__}")
            made = self._made.setdefault(protocol, self._makers[protocol]())
        return cast(T, made)
