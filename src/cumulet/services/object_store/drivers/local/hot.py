# SPDX-License-Identifier: Apache-2.0
"""Rows that were read last, with their bodies: what is asked for again is answered without a way through a thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from random import getrandbits
from typing import NamedTuple, TypeVar

from cumulet.services.object_store.types.objects import Address, Version

T = TypeVar("T")

MOST = 32 << 20  # bytes that are kept of all devices of the process
_ROW = 1024  # of them, that a row takes beside its body
_BUCKETS = 256


class Row(NamedTuple):
    version: Version
    body: bytes


class Shelf:
    """Room for `most` bytes; what was not asked for the longest time goes first.

    When it is full it takes in one of four (all of `doubt` bits are 0), so that a walk through more than there is room
    for, which asks for each row just after it went, leaves most of it as it is.
    """

    def __init__(self, most: int = MOST, doubt: int = 2) -> None:
        self._most = most
        self._doubt = doubt
        self._size = 0
        self._rows: OrderedDict[tuple[HotRows, Address], Row] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, key: tuple[HotRows, Address]) -> Row | None:
        with self._guard:
            row = self._rows.get(key)
            if row is not None:
                self._rows.move_to_end(key)
            return row

    def put(self, key: tuple[HotRows, Address], row: Row) -> None:
        size = len(row.body) + _ROW
        with self._guard:
            self._drop(key)
            if self._size + size > self._most and getrandbits(self._doubt):
                return
            self._rows[key] = row
            self._size += size
            while self._size > self._most:
                self._drop(next(iter(self._rows)))

    def drop(self, key: tuple[HotRows, Address]) -> None:
        with self._guard:
            self._drop(key)

    def clear(self, owner: HotRows) -> None:
        with self._guard:
            for key in [key for key in self._rows if key[0] is owner]:
                self._drop(key)

    def _drop(self, key: tuple[HotRows, Address]) -> None:
        row = self._rows.pop(key, None)
        if row is not None:
            self._size -= len(row.body) + _ROW


_SHELF = Shelf()


class HotRows:
    """Of one device. Never older than what is acknowledged, nor than what was read before: a change takes its row out
    when it begins, and what was read beside it is not kept. Changes end in the ledger's thread.
    """

    def __init__(self, shelf: Shelf = _SHELF) -> None:
        self._shelf = shelf
        self._begun = [0] * _BUCKETS  # changes so far of what falls into a bucket
        self._going_on = [0] * _BUCKETS
        self._guard = threading.Lock()

    def get(self, address: Address) -> Row | None:
        return self._shelf.get((self, address))

    def ask(self, address: Address) -> int:
        """Before a row is read that may be kept: what `keep` wants to know."""
        bucket = hash(address) % _BUCKETS
        with self._guard:
            return -1 if self._going_on[bucket] else self._begun[bucket]

    def keep(self, address: Address, row: Row, asked: int) -> None:
        """What was read since it `asked`, unless that changes or has changed."""
        with self._guard:
            if self._begun[hash(address) % _BUCKETS] == asked:
                self._shelf.put((self, address), row)

    def during(self, address: Address, start: Callable[[], Future[T]]) -> Future[T]:
        """The change that `start` hands on, which is over before anybody else is told of it."""
        bucket = hash(address) % _BUCKETS
        with self._guard:
            self._going_on[bucket] += 1
            self._begun[bucket] += 1
            self._shelf.drop((self, address))
        try:
            change = start()
        except BaseException:
            self._end(bucket)
            raise
        change.add_done_callback(lambda _: self._end(bucket))
        return change

    def clear(self) -> None:
        self._shelf.clear(self)

    def _end(self, bucket: int) -> None:
        with self._guard:
            self._going_on[bucket] -= 1
