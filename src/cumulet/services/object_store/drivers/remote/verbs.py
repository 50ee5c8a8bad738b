# SPDX-License-Identifier: Apache-2.0
"""What is said on the wire: the verbs of devices as their Protocols have them, and errors by their names.

The arguments of a verb are a map by the names of its parameters; one that is not told has its default, one that is not
known is skipped. So parameters with a default may be added to a Protocol, and fields to Structs; what is a tuple stays
as it is.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from cumulet.kernel.blob import StorageFull
from cumulet.kernel.errors import Invalid
from cumulet.kernel.link import outcome
from cumulet.kernel.link.frames import FrameError
from cumulet.services.object_store.drivers.base import DeviceFull, DeviceGone, ObjectDevice
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.types.objects import Address, Outcome, OwedUpdate, Version

T = TypeVar("T")

ATTACH = "attach"
BEGIN, STORE, READ, CHUNKS = "object.begin", "object.store", "object.read", "object.chunks"
DETACHED = "DeviceDetached"  # the code of an error: the number of a device is not good any more

KINDS: outcome.Kinds = {
    **outcome.KINDS,
    **{kind.__name__: kind for kind in (StorageFull, DeviceFull, DeviceGone)},
}


class Call(msgspec.Struct, frozen=True, array_like=True):
    """`device` is its number since it was attached, 0 for what is asked of the process itself."""

    verb: str
    device: int
    words: msgspec.Raw


class Attach(msgspec.Struct, frozen=True):
    """Of a device, as rings name it."""

    ip: str
    port: int
    folder: str


class Attached(msgspec.Struct, frozen=True):
    """The device's number on this stream, and what holds as long as that is good."""

    device: int
    identity: str
    durable: bool = False


class Begin(msgspec.Struct, frozen=True, omit_defaults=True):
    """An upload. What follows is told by MORE: Etag or Commit, and answered."""

    address: Address
    size: int | None = None
    summed: bool = False
    cached: bool = True


class Etag(msgspec.Struct, frozen=True, tag="etag"):
    """The answer is the MD5."""


class Commit(msgspec.Struct, frozen=True, omit_defaults=True, tag="commit"):
    """The answer is the Outcome, or none where the body is not that of `version`; the upload goes on then."""

    version: Version
    owed: Sequence[OwedUpdate] = ()
    replica: bool = False
    pending: bool = False


class Store(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole upload; the body goes with it, and is that of `version`."""

    address: Address
    version: Version
    owed: Sequence[OwedUpdate] = ()
    replica: bool = False
    pending: bool = False


class Read(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer is the Version or none, with it the body where that is small; else the exchange stays open."""

    address: Address
    stamp: int = 0


class Chunks(msgspec.Struct, frozen=True):
    """Bytes of what was opened by the exchange `reading`. They come as DATA, then an empty answer."""

    reading: int
    start: int
    end: int


class Verb:
    """One that is asked and answered at once: `name` of that `half` of a node; on the wire it is the `word`."""

    def __init__(self, half: str, word: str, method: Any) -> None:
        self.half, self.name = half, method.__name__
        self.word = f"{word}.{self.name}"
        types = typing.get_type_hints(method)
        parameters = list(inspect.signature(method).parameters.values())[1:]
        fields: list[Any] = [
            (each.name, types[each.name])
            if each.default is inspect.Parameter.empty
            else (each.name, types[each.name], each.default)
            for each in parameters
        ]
        self.words: Any = msgspec.defstruct(self.word, fields, frozen=True, omit_defaults=True)
        self.names = [each.name for each in parameters if each.kind is not inspect.Parameter.KEYWORD_ONLY]
        self.read_words = msgspec.msgpack.Decoder(self.words).decode
        self.read_answer = msgspec.msgpack.Decoder(types["return"]).decode


_encode = msgspec.msgpack.Encoder().encode
read_call = msgspec.msgpack.Decoder(Call).decode
read_attach = msgspec.msgpack.Decoder(Attach).decode
read_attached = msgspec.msgpack.Decoder(Attached).decode
read_begin = msgspec.msgpack.Decoder(Begin).decode
read_more = msgspec.msgpack.Decoder(Etag | Commit).decode
read_store = msgspec.msgpack.Decoder(Store).decode
read_read = msgspec.msgpack.Decoder(Read).decode
read_chunks = msgspec.msgpack.Decoder(Chunks).decode
read_version = msgspec.msgpack.Decoder(Version | None).decode
read_outcome = msgspec.msgpack.Decoder(Outcome | None).decode
read_text = msgspec.msgpack.Decoder(str).decode
read_plain = msgspec.msgpack.Decoder().decode


def packed(value: Any) -> bytes:
    """Invalid for text that is not valid Unicode and for numbers of more than 64 bits; TypeError for no plain data."""
    try:
        return _encode(value)
    except (UnicodeEncodeError, OverflowError) as error:
        raise Invalid(f"This cannot be kept: {error}.") from error


def call(verb: str, device: int, words: Any) -> bytes:
    """The head of a CALL. Errors as of `packed`."""
    return packed((verb, device, words))


def understood(read: Callable[[bytes | msgspec.Raw], T], said: bytes | msgspec.Raw) -> T:
    """What a call says. Raises FrameError."""
    try:
        return read(said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"a call is not understood: {error}") from None


def error_to_wire(error: BaseException, verb: str) -> bytes:
    said = outcome.to_wire(error, verb, KINDS)
    try:
        return _encode(said)
    except (UnicodeEncodeError, OverflowError):
        said.pop("fields", None)
        return _encode({key: text.encode(errors="replace").decode() for key, text in said.items()})


def error_from_wire(head: bytes) -> Exception:
    """The very same error; DeviceGone for one that has no name here, whose cause stands in the log there."""
    error = outcome.from_wire(read_plain(head), KINDS)
    if isinstance(error, outcome.RemoteFailure):
        return DeviceGone(f"The device failed: {error}.", code="DeviceGone")
    return error


_APART = frozenset(("begin", "read", "close"))


def _verbs(half: str, word: str, protocol: type) -> Mapping[str, Verb]:
    found = {name: each for name, each in vars(protocol).items() if inspect.iscoroutinefunction(each)}
    return {name: Verb(half, word, each) for name, each in found.items() if name not in _APART}


OBJECTS = _verbs("objects", "object", ObjectDevice)
INDEXES = _verbs("indexes", "index", IndexDevice)
BY_WORD: Mapping[str, Verb] = {each.word: each for each in (*OBJECTS.values(), *INDEXES.values())}
