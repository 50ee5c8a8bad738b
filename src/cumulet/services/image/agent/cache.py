# SPDX-License-Identifier: Apache-2.0
"""Local copies of images: fetched once, verified, kept while a disk of this host stands on them."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from cumulet.kernel import faults
from cumulet.kernel.backup.keeper import Keeper, NothingToKeep
from cumulet.kernel.errors import NotReady
from cumulet.kernel.link.host import Body, Host, Verb
from cumulet.services.image.agent.backing import named_by
from cumulet.services.image.types import Described

LOG = logging.getLogger(__name__)

CHUNK = 1 << 20  # bytes in one call over the link
PATIENCE = 120.0  # seconds for the call in which the control plane hashes what was pushed, for each GiB


class Copy(msgspec.Struct, frozen=True):
    """A local copy, in the journal. `unwanted`: the image is gone, and its copy goes with the last disk above it."""

    size: int
    sha512: str
    unwanted: bool = False


class ImagesOnHost:
    """`contract.HostImages` and the verbs of the image service on a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._folder = host.state / "images"
        self._journal = host.journal("image.copies")
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}

    @property
    def keeper(self) -> Keeper:
        """The copies are left out of backups: they are fetched again."""
        return NothingToKeep(("agent/images", "agent/journal/image.copies"))

    @property
    def verbs(self) -> Mapping[str, Verb]:
        return {"image.forget": self._forget}

    def start(self) -> None:
        """Drop what a crash left half-fetched, and copies that nothing stands on any more."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = self._copies()
        for path in self._folder.iterdir():
            if path.name not in known:
                path.unlink()
        for image_id, copy in known.items():
            if not self._path(image_id).exists():
                self._journal.delete(image_id)
            elif copy.unwanted:
                self._drop_unless_used(image_id)

    def stop(self) -> None:
        """Nothing is held."""

    def report(self) -> Body:
        """The copies that are here: `{"copies": {image id: SHA-512}}`."""
        return {"copies": {image_id: copy.sha512 for image_id, copy in self._copies().items() if not copy.unwanted}}

    def inventory(self) -> Body:
        """The copies that are wanted, all that are kept, and all files; one that is being fetched is none yet."""
        known = self._copies()
        return {
            "copies": [image_id for image_id, copy in known.items() if not copy.unwanted],
            "kept": sorted(known),
            "files": [path.name for path in self._folder.iterdir() if path.suffix != ".new"],
        }

    def base(self, image_id: str) -> Path:
        with self._alone(image_id):
            if self._find(image_id) is None:
                self._fetch(image_id)
            return self._path(image_id)

    def push(self, image_id: str, path: Path) -> None:
        digest = hashlib.sha512()
        size = path.stat().st_size
        with path.open("rb") as source:
            offset = 0
            while data := source.read(CHUNK):
                digest.update(data)
                self._host.call("image.write", {"id": image_id, "offset": offset, "data": data})
                offset += len(data)
                faults.point("image.push")
        body = {"id": image_id, "size": size, "sha512": digest.hexdigest()}
        self._host.call("image.finish", body, timeout=PATIENCE * (1 + size / (1 << 30)))

    def _fetch(self, image_id: str) -> None:
        about = msgspec.convert(self._host.call("image.describe", {"id": image_id}), Described)
        draft = self._folder / f"{image_id}.new"
        digest = hashlib.sha512()
        with draft.open("wb") as sink:
            offset = 0
            while offset < about.size:
                data: bytes = self._host.call("image.read", {"id": image_id, "offset": offset, "length": CHUNK})
                if not data:
                    break
                digest.update(data)
                _append_sparsely(sink.fileno(), data, offset)
                offset += len(data)
                faults.point("image.fetch")
            os.ftruncate(sink.fileno(), offset)
            os.fsync(sink.fileno())
        if digest.hexdigest() != about.sha512:
            draft.unlink()
            raise NotReady(f"The copy of image {image_id} did not arrive whole.", code="ImageCorrupted")
        draft.chmod(0o400)
        copy = Copy(about.size, about.sha512)
        # The journal comes second: a file without its record is removed at the next start, never believed.
        draft.rename(self._path(image_id))
        self._journal.put(image_id, msgspec.to_builtins(copy))
        LOG.info("image %s is here, %d bytes", image_id, copy.size)

    def _forget(self, body: Body) -> Any:
        """`{"id": image id}`: the image is gone; so is its copy, at once or with the last disk that stands on it."""
        image_id = str(body["id"])
        with self._alone(image_id):
            copy = self._find(image_id)
            if copy is not None:
                self._journal.put(image_id, msgspec.to_builtins(msgspec.structs.replace(copy, unwanted=True)))
                self._drop_unless_used(image_id)
        for other, copy in self._copies().items():
            if copy.unwanted and other != image_id:
                with self._alone(other):
                    self._drop_unless_used(other)
        return None

    def _drop_unless_used(self, image_id: str) -> None:
        path = self._path(image_id)
        if path in named_by(self._host.state):
            return
        path.unlink(missing_ok=True)
        self._journal.delete(image_id)
        LOG.info("the copy of image %s is removed", image_id)

    def _find(self, image_id: str) -> Copy | None:
        record = self._journal.get(image_id)
        return None if record is None or not self._path(image_id).exists() else msgspec.convert(record, Copy)

    def _copies(self) -> dict[str, Copy]:
        return {image_id: msgspec.convert(record, Copy) for image_id, record in self._journal.items().items()}

    def _path(self, image_id: str) -> Path:
        return self._folder / image_id

    @contextmanager
    def _alone(self, image_id: str) -> Iterator[None]:
        """One thread at a time per image: of several that want it, one fetches."""
        with self._lock:
            lock = self._busy.setdefault(image_id, threading.Lock())
        with lock:
            yield


def _append_sparsely(sink: int, data: bytes, offset: int) -> None:
    if data.count(0) != len(data):
        os.pwrite(sink, data, offset)
