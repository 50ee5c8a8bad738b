# SPDX-License-Identifier: Apache-2.0
"""One stream between two processes, on which many calls and bodies go at once.

After a hello of each side (`kernel.link`'s first frame) a frame is its length (4 bytes), what it is (1) and the number
of its exchange (8), all big-endian, and then so many bytes as its length says:

CALL    begins an exchange: a head, and bytes that go with it
MORE    says more in one that has begun
REPLY   answers; ERROR answers too, and ends the exchange
DATA    a piece of a body as it is
CREDIT  so many bytes of DATA more may come (4 bytes)
RESET   who called wants nothing more of it
PART    of a CALL, MORE or REPLY that does not fit one frame: what comes before its end
PING    a sign of life

The payload of CALL, MORE and REPLY is the length of the head (4 bytes), the head as msgpack, and plain bytes. A frame
has at most MOST bytes, so that no body keeps others waiting: pieces of all that is sent go in turn. Of a body no more
is on its way than its receiver has granted: CREDIT bytes (said in the hello) at first, and what it takes in after that.
Fields and verbs are added and never changed; a new kind of frame raises VERSION (docs/develop/link.md).
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from cumulet.services.object_store.drivers.base import DeviceGone

VERSION = 1  # the newest that is spoken here
OLDEST = 1  # the oldest that is still spoken here: that of the release before
PROTOCOL = "objects"  # in the hello: what is spoken behind it

SILENCE = 5.0  # seconds without a frame after which the other side counts as gone
PINGS = 5  # signs of life within that time
SLICE = 1 << 17  # bytes of a body, or of a long message, in one frame
MOST = SLICE + 1024
MOST_MESSAGE = 64 << 20  # bytes of a call or an answer without its body
MOST_PARTS = 4 * MOST_MESSAGE  # bytes of calls or answers that are not whole yet
CREDIT = 1 << 17  # bytes of a body that may come before anything is granted
WINDOW = 1 << 20  # bytes that one body may have on its way, where few do
HELD = 128 << 20  # bytes that all bodies of a process may have on their way, but for CREDIT each
SMALL = 1 << 14  # bytes up to which pieces that wait are put together, for each costs some memory of its own
MESSAGES = 1 << 10  # pieces and messages that wait, beyond which no message is taken
STREAMS = 4096  # exchanges that one side may have begun and not ended
HIGH = 1 << 18  # bytes that wait to be sent before a piece of a body waits
BACKLOG = 64 << 20  # bytes that wait to be sent before the other side counts as hung

HEADER = Struct(">IBQ")
LENGTH = Struct(">I")


class Kind(IntEnum):
    CALL = 1
    MORE = 2
    REPLY = 3
    ERROR = 4
    DATA = 5
    CREDIT = 6
    RESET = 7
    PING = 8
    PART = 9


class Message(NamedTuple):
    """`head` is msgpack, `body` what goes with it as it is."""

    kind: int
    head: bytes
    body: bytes


def lost(why: str) -> DeviceGone:
    return DeviceGone(f"The device cannot be reached: {why}.", code="DeviceGone")
