# SPDX-License-Identifier: Apache-2.0
"""A store whose devices see no plain text: bodies, ETags and what users say of objects are encrypted on the way.

Names, sizes, content types and all that is said of accounts and containers are not, as in Swift. Each body has a key
of its own, sealed with its object; it is encrypted by AES-256 in counter mode, so that parts are read without the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from typing import Self

import msgspec
from cryptography.hazmat.primitives.ciphers import CipherContext

from cumulet.services.object_store.drivers.base import FileSlice
from cumulet.services.object_store.engine import keys
from cumulet.services.object_store.engine.base import Engine, Name, Reading, Writing
from cumulet.services.object_store.engine.keys import CannotDecrypt, Secrets
from cumulet.services.object_store.types.indexes import (
    Info,
    Key,
    Listed,
    Listing,
)
from cumulet.services.object_store.types.objects import Outcome, Update, Version

BODY = "x-object-sysmeta-crypto-body"
ETAG = "x-object-sysmeta-crypto-etag"
LISTED = "x-object-sysmeta-container-update-override-etag"
UNKNOWN = "<unknown>"  # the ETag of an entry of a listing whose secret is gone

_SAID, _KEPT = "x-object-meta-", "x-object-transient-sysmeta-crypto-meta-"
_INLINE = 1 << 16  # bytes that are encrypted without a thread


class Encrypted:
    """`Engine` above another one. Without `writes` new objects stay plain, and old ones are read all the same.

    NotReady for objects and their lists while the secrets are awaited.
    """

    def __init__(self, engine: Engine, secrets: Secrets, *, writes: bool = True) -> None:
        self._engine, self.secrets, self._writes = engine, secrets, writes
        self.policies = engine.policies
        self.info, self.put, self.delete = engine.info, engine.put, engine.delete
        self.delete_later = engine.delete_later
        self.set_metadata, self.list_containers, self.close = engine.set_metadata, engine.list_containers, engine.close

    async def list_objects(self, key: Key, listing: Listing, *, newest: bool = False) -> tuple[Info, list[Listed]]:
        self.secrets.check()
        info, entries = await self._engine.list_objects(key, listing, newest=newest)
        path = _path(key.account, key.container)
        return info, [(*each[:4], self._listed(path, each[4])) if keys.is_sealed(each[4]) else each for each in entries]

    async def head(self, name: Name, *, newest: bool = False) -> Version | None:
        self.secrets.check()
        return self._plain(name, await self._engine.head(name, newest=newest))

    async def read(self, name: Name, *, newest: bool = False) -> Reading | None:
        self.secrets.check()
        reading = await self._engine.read(name, newest=newest)
        if reading is None:
            return None
        try:
            version = self._plain(name, reading.version)
            sealed = reading.version.system.get(BODY)
            body = None if sealed is None else self.secrets.open(_path(*name[:3]), BODY, sealed)
        except BaseException:
            await reading.close()
            raise
        return _Decrypting(reading, version or reading.version, body)

    async def write(self, name: Name, size: int | None = None) -> Writing:
        self.secrets.check()
        writing = await self._engine.write(name, size)
        return _Encrypting(self, name, writing) if self._writes else writing

    async def post(self, name: Name, update: Update, *, expired_too: bool = False) -> Outcome:
        self.secrets.check()
        if self._writes:
            update = msgspec.structs.replace(update, metadata=self.seal_metadata(name, update.metadata))
        return self.told(name, await self._engine.post(name, update, expired_too=expired_too))

    async def remove(self, name: Name, stamp: int, *, if_delete_at: int | None = None) -> Outcome:
        self.secrets.check()
        return self.told(name, await self._engine.remove(name, stamp, if_delete_at=if_delete_at))

    def seal(self, name: Name, version: Version, body: bytes | None, etag: str) -> Version:
        """As devices keep it; `etag` is that of the bytes that were stored, encrypted with `body` (key and counter)."""
        path, system = _path(*name[:3]), dict(version.system)
        listed = system.get(LISTED)
        if body is not None:
            system[BODY] = self.secrets.seal(path, BODY, body)
            system[ETAG] = self.secrets.seal(path, ETAG, version.etag.encode())
            listed = version.etag if listed is None else listed
        if listed:
            system[LISTED] = self.secrets.seal(_path(*name.listing), LISTED, listed.encode("latin-1"))
        return msgspec.structs.replace(
            version, etag=etag, system=system, metadata=self.seal_metadata(name, version.metadata)
        )

    def seal_metadata(self, name: Name, metadata: Mapping[str, str]) -> dict[str, str]:
        path, found = _path(*name[:3]), {}
        for key, value in metadata.items():
            if key.startswith(_SAID) and value:
                kept = _KEPT + key.removeprefix(_SAID)
                found[kept] = self.secrets.seal(path, kept, value.encode("latin-1"))
            else:
                found[key] = value
        return found

    def _plain(self, name: Name, version: Version | None) -> Version | None:
        """As callers see it."""
        if version is None:
            return None
        path, system, etag, changed = _path(*name[:3]), dict(version.system), version.etag, False
        system.pop(BODY, None)
        if (sealed := system.pop(ETAG, None)) is not None:
            etag, changed = self.secrets.open(path, ETAG, sealed).decode(), True
        if keys.is_sealed(listed := system.get(LISTED, "")):
            changed = True
            system[LISTED] = self.secrets.open(_path(*name.listing), LISTED, listed).decode("latin-1")
            if system[LISTED] == etag:
                del system[LISTED]  # it was said for the listing's sake alone
        metadata = {}
        for key, value in version.metadata.items():
            if key.startswith(_KEPT):
                changed = True
                metadata[_SAID + key.removeprefix(_KEPT)] = self.secrets.open(path, key, value).decode("latin-1")
            else:
                metadata[key] = value
        if not changed:
            return version
        return msgspec.structs.replace(version, etag=etag, system=system, metadata=metadata)

    def told(self, name: Name, outcome: Outcome) -> Outcome:
        before, now = (self._seen(name, each) for each in (outcome.before, outcome.now))
        return msgspec.structs.replace(outcome, before=before, now=now)

    def _seen(self, name: Name, version: Version | None) -> Version | None:
        """What was there may be of a secret that is gone: it is replaced and deleted all the same."""
        try:
            return self._plain(name, version)
        except CannotDecrypt:
            return version

    def _listed(self, path: str, sealed: str) -> str:
        try:
            return self.secrets.open(path, LISTED, sealed).decode("latin-1")
        except CannotDecrypt:
            return UNKNOWN


class _Encrypting:
    """`Writing` above another one."""

    def __init__(self, engine: Encrypted, name: Name, writing: Writing) -> None:
        self._engine, self._name, self._writing = engine, name, writing
        self._body = os.urandom(48)
        self._stream = keys.stream(self._body[:32], self._body[32:])
        self._sum = hashlib.md5(usedforsecurity=False)

    @property
    def size(self) -> int:
        return self._writing.size

    async def write(self, data: bytes) -> None:
        if not data:
            return
        sealed = self._step(data) if len(data) <= _INLINE else await asyncio.to_thread(self._step, data)
        await self._writing.write(sealed)

    async def etag(self) -> str:
        await self._writing.etag()
        return self._sum.hexdigest()

    async def commit(self, version: Version) -> Outcome:
        stored = await self._writing.etag()
        sealed = self._engine.seal(self._name, version, self._body if self._writing.size else None, stored)
        return self._engine.told(self._name, await self._writing.commit(sealed))

    async def abort(self) -> None:
        await self._writing.abort()

    async def __aenter__(self) -> Self:
        await self._writing.__aenter__()
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self._writing.__aexit__(*ended)

    def _step(self, data: bytes) -> bytes:
        self._sum.update(data)
        return self._stream.update(data)


class _Decrypting:
    """`Reading` above another one; `body` are the key and the counter of one that is encrypted."""

    def __init__(self, reading: Reading, version: Version, body: bytes | None) -> None:
        self._reading, self._version, self._body = reading, version, body

    @property
    def version(self) -> Version:
        return self._version

    @property
    def inline(self) -> bytes | None:
        data = self._reading.inline
        return data if data is None or self._body is None else self._at(self._body, 0).update(data)

    def file(self) -> FileSlice | None:
        return self._reading.file() if self._body is None else None

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        if self._body is None:
            async for piece in self._reading.chunks(start, end):
                yield piece
            return
        stream = self._at(self._body, start)
        async for piece in self._reading.chunks(start, end):
            yield stream.update(piece) if len(piece) <= _INLINE else await asyncio.to_thread(stream.update, piece)

    async def close(self) -> None:
        await self._reading.close()

    async def __aenter__(self) -> Self:
        await self._reading.__aenter__()
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self._reading.__aexit__(*ended)

    def _at(self, body: bytes, start: int) -> CipherContext:
        return keys.stream(body[:32], body[32:], start)


def _path(*names: str) -> str:
    return "/" + "/".join(names)
