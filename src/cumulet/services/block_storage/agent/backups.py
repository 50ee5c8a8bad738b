# SPDX-License-Identifier: Apache-2.0
"""Backups of this host's volumes: from a snapshot into the store, and from there to a volume.

Bodies: `backup.write` a `BackupSpec`; `backup.restore` a `RestoreSpec`; `backup.look` and `backup.delete` a `Stored`;
each with the `account` (`url`, `token`) where the store is one of the cloud's own object store.
`backup.drop_restore` `{id, operation}` of a volume. The first two work for some seconds and say how far they have come
(`part`, `done`); they are asked again with that until they are done, so that an order is never out for long. A restored
volume is a draft, a sparse file, until all of it is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import msgspec

from cumulet.kernel.blob import Blobs
from cumulet.kernel.blob.files import FileBlobs
from cumulet.kernel.errors import NotFound, Unsupported
from cumulet.kernel.keyed_locks import KeyedLocks
from cumulet.kernel.link.host import Body, Host, Verb
from cumulet.services.block_storage.agent import chunks
from cumulet.services.block_storage.agent.backends import Backends
from cumulet.services.block_storage.agent.disks import DisksForServers
from cumulet.services.block_storage.drivers.base import VolumeBackend
from cumulet.services.block_storage.drivers.room import room
from cumulet.services.block_storage.types.backups import BackupSpec, RestoreSpec, Stored

SLICE = 20.0  # seconds of work after which an answer is due
SUFFIX = ".raw"


class BackupsOnHost:
    """These verbs; the journal holds each volume's last operation."""

    def __init__(self, host: Host, backends: Backends, disks: DisksForServers) -> None:
        self._host = host
        self._backends = backends
        self._disks = disks
        self._drafts = host.state / "block_storage" / "restores"
        self._journal = host.journal("restores")
        self._locks = KeyedLocks()  # whoever is told twice to do the same waits for himself

    @property
    def verbs(self) -> Mapping[str, Verb]:
        return {
            "backup.write": self.write,
            "backup.restore": self.restore,
            "backup.drop_restore": self.drop_restore,
            "backup.look": self.look,
            "backup.delete": self.delete,
        }

    def drafts(self) -> list[str]:
        """The ids of the volumes that are being restored."""
        return sorted(path.name.removesuffix(SUFFIX) for path in self._drafts.glob(f"*{SUFFIX}"))

    def write(self, body: Body) -> Body:
        """Store what a snapshot holds; nothing where that was done."""
        spec = msgspec.convert(body, BackupSpec)
        backend = self._backends.get(spec.backend)
        with self._locks.hold(spec.stored.name), self._store(body) as store:
            made = chunks.find(store, spec.stored)
            part = spec.part
            if made is None:
                part, made = self._write(store, backend, spec)
            if made is None:
                return {"part": part, "done": False}
            if spec.drop:
                backend.delete_snapshot(spec.snapshot_id)
        return {"part": part, "done": True, **_summary(made)}

    def restore(self, body: Body) -> Body:
        """Make the volume of what was stored, or write that over it; nothing where the operation was done."""
        spec = msgspec.convert(body, RestoreSpec)
        backend = self._backends.get(spec.backend)
        with self._locks.hold(spec.id), self._store(body) as store:
            manifest = chunks.get(store, spec.stored)
            if self._journal.get(spec.id) == spec.operation or (spec.new and spec.id in backend.volumes()):
                part, done = spec.part, True
            else:
                part, done = self._restore(store, backend, spec, manifest)
            if done:
                self._draft(spec.id).unlink(missing_ok=True)
        return {"part": part, "done": done, **_summary(manifest)}

    def drop_restore(self, body: Body) -> None:
        """Nothing comes of the operation, though an order of it should still be on its way: its draft goes."""
        volume_id = str(body["id"])
        with self._locks.hold(volume_id):
            self._journal.put(volume_id, str(body["operation"]))
            self._draft(volume_id).unlink(missing_ok=True)

    def look(self, body: Body) -> Body:
        """What the store has of a backup. Raises NotFound."""
        with self._store(body) as store:
            return _summary(chunks.get(store, msgspec.convert(body, Stored)))

    def delete(self, body: Body) -> None:
        """Remove a backup from the store, whole or not."""
        stored = msgspec.convert(body, Stored)
        with self._locks.hold(stored.name), self._store(body) as store:
            chunks.remove(store, stored)

    def forget(self, volume_id: str) -> None:
        """The volume is gone."""
        self._journal.delete(volume_id)

    # -- inside ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _store(self, body: Body) -> Iterator[Blobs]:
        """The store, for the time of one order."""
        said = self._host.settings.volume_backups
        if said.driver != "swift":
            yield self._own_store
            return
        if "account" not in body:
            raise Unsupported("Who orders this knows nothing of backups in the object store.")
        from cumulet.kernel.blob.swift import Account, SwiftBlobs, SwiftClient  # it takes what no other host needs

        account = msgspec.convert(body["account"], Account)
        trusted = said.swift.ca_file if said.swift.ca_file.name else None
        client = SwiftClient(lambda: account, trusted)
        try:
            yield SwiftBlobs(client, said.swift.storage_policy)
        finally:
            client.close()

    @cached_property
    def _own_store(self) -> Blobs:
        said = self._host.settings.volume_backups
        if said.driver == "files":
            own = self._host.state / "block_storage" / "backups"
            return FileBlobs(said.folder.absolute() if said.folder.name else own)
        try:
            from cumulet.kernel.blob.s3 import S3Blobs, Server
        except ModuleNotFoundError as error:
            raise Unsupported("Backups to s3 need more to be installed: pip install 'cumulet[s3]'") from error
        server = Server(
            said.s3.endpoint,
            region=said.s3.region,
            access_key=said.s3.access_key,
            secret_key_file=said.s3.secret_key_file if said.s3.secret_key_file.name else None,
        )
        return S3Blobs(server, said.s3.bucket, said.s3.prefix)

    def _write(self, store: Blobs, backend: VolumeBackend, spec: BackupSpec) -> tuple[int, chunks.Manifest | None]:
        said = self._host.settings.volume_backups
        parent = None if spec.parent is None else chunks.get(store, spec.parent)
        until, part = time.monotonic() + SLICE, spec.part
        with backend.content(spec.snapshot_id) as content:
            while part < chunks.parts(content.size):
                packs, room = said.compression == "zlib", said.object_size
                chunks.write_part(store, spec.stored, part, content, parent, packs, room)
                part += 1
                if time.monotonic() > until:
                    return part, None
            return part, chunks.seal(store, spec.stored, spec.volume_id, content.size, parent, spec.about)

    def _restore(
        self, store: Blobs, backend: VolumeBackend, spec: RestoreSpec, manifest: chunks.Manifest
    ) -> tuple[int, bool]:
        draft, part = self._draft(spec.id), spec.part
        with room():
            self._drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
            if part == 0 or not draft.exists():
                part = 0
                _make(draft, manifest.size)
            until = time.monotonic() + SLICE
            with draft.open("r+b") as file:
                while part < chunks.parts(manifest.size):
                    _fill(file.fileno(), chunks.read_part(store, manifest, part))
                    part += 1
                    if time.monotonic() > until:
                        break
                os.fsync(file.fileno())
        if part < chunks.parts(manifest.size):
            return part, False
        if spec.new:
            backend.create_from_image(spec.id, spec.size, draft, "raw")
        else:
            with self._disks.closed([spec.id], attached=False):
                backend.reimage(spec.id, draft, "raw")
                self._journal.put(spec.id, spec.operation)
        return part, True

    def _draft(self, volume_id: str) -> Path:
        if "/" in volume_id or volume_id.startswith("."):
            raise NotFound(f"{volume_id} is not the name of a volume.")
        return self._drafts / f"{volume_id}{SUFFIX}"


def _summary(manifest: chunks.Manifest) -> Body:
    return {
        "volume_id": manifest.volume_id,
        "size": manifest.size,
        "objects": manifest.objects,
        "stored": manifest.stored,
        "about": manifest.about,
    }


def _make(draft: Path, size: int) -> None:
    with draft.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size)


def _fill(handle: int, pieces: Iterable[tuple[int, bytes]]) -> None:
    for offset, data in pieces:
        view = memoryview(data)
        while view:
            done = os.pwrite(handle, view, offset)
            view, offset = view[done:], offset + done
