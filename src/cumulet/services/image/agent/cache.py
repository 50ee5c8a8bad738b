# SPDX-License-Identifier: Apache-2.0
"""Local copies of images: fetched once, verified, looked into, kept while a disk of this host stands on them."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from cumulet.kernel import diskimage, faults
from cumulet.kernel.backup.keeper import Keeper, NothingToKeep
from cumulet.kernel.errors import Conflict, Invalid, NotReady
from cumulet.kernel.link.host import Body, Host, Verb
from cumulet.services.image.agent.shelf import Copy, Limits, Shelf
from cumulet.services.image.drivers.holes import solid, write_all
from cumulet.services.image.types import Described

LOG = logging.getLogger(__name__)

CHUNK = 1 << 20  # bytes in one call over the link
PATIENCE = 120.0  # seconds for the call in which the control plane hashes what was pushed, for each GiB
# What is wrong with a partition table is the guest's own affair.
_HARMLESS = "gpt"


class ImagesOnHost:
    """`contract.HostImages` and the verbs of the image service on a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._shelf = Shelf(host.state / "images", host.journal("image.copies"), host.state)
        self._awaited: set[str] = set()

    @property
    def keeper(self) -> Keeper:
        """The copies are left out of backups: they are fetched again."""
        return NothingToKeep(("agent/images", "agent/journal/image.copies"))

    @property
    def verbs(self) -> Mapping[str, Verb]:
        return {"image.forget": self._forget, "image.prefetch": self._prefetch, "image.tidy": self._tidy}

    def start(self) -> None:
        """Drop what a crash left half-fetched, and copies that nothing stands on any more."""
        self._shelf.sweep()
        self._shelf.drop_unwanted()

    def stop(self) -> None:
        """Nothing is held."""

    def report(self) -> Body:
        """The copies that are here: `{"copies": {image id: SHA-512}}`, the sum empty while a copy is being made."""
        awaited = dict.fromkeys(tuple(self._awaited), "")
        copies = self._shelf.all()
        return {"copies": awaited | {key: copy.sha512 for key, copy in copies.items() if not copy.unwanted}}

    def inventory(self) -> Body:
        """The copies that are wanted, the files that are kept for any, and all files; none that is being fetched."""
        known = self._shelf.all()
        folder = self._host.state / "images"
        return {
            "copies": [image_id for image_id, copy in known.items() if not copy.unwanted],
            "kept": sorted(self._shelf.files(known)),
            "files": [path.name for path in folder.iterdir() if path.suffix != ".new"],
        }

    def base(self, image_id: str) -> Path:
        while True:
            with self._shelf.alone(image_id):
                had = self._shelf.find(image_id)
                copy = had or self._get(image_id)
                path = self._shelf.path(image_id, copy)
                with self._shelf.alone(path.name):
                    there = path.exists()  # else it was removed just now, to make room
                    if there:
                        self._shelf.touch(image_id, copy)
            if had is None:
                self._shelf.tidy(self._limits())
            if there:
                return path

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

    def _get(self, image_id: str) -> Copy:
        """A copy of an image, which a report has from here on: its end may be told at any moment."""
        self._awaited.add(image_id)
        try:
            return self._make(image_id)
        finally:
            self._awaited.discard(image_id)

    def _make(self, image_id: str) -> Copy:
        """The bytes are fetched, unless another image has brought the same ones."""
        about = msgspec.convert(self._host.call("image.describe", {"id": image_id}), Described)
        name = about.sha512
        with self._shelf.alone(name):
            path = self._shelf.file(name)
            if not path.exists():
                self._fetch(image_id, about, path)
            copy = Copy(about.size, about.sha512, file=name, used=time.time())
            try:
                _check(image_id, about, path)
            except BaseException:
                if name not in self._shelf.files(self._shelf.all()):
                    path.unlink()
                raise
            # The journal comes second: a file without its record is removed at the next start, never believed.
            self._shelf.keep(image_id, copy)
        LOG.info("image %s is here, %d bytes", image_id, copy.size)
        return copy

    def _fetch(self, image_id: str, about: Described, path: Path) -> None:
        draft = path.with_suffix(".new")
        digest = hashlib.sha512()
        with draft.open("wb") as sink, ThreadPoolExecutor(1, "image-fetch") as pool:
            offset = 0
            for data in self._pieces(pool, image_id, about.size):
                digest.update(data)
                view = memoryview(data)
                for start, stop in solid(data, 0):
                    write_all(sink.fileno(), view[start:stop], offset + start)
                offset += len(data)
                faults.point("image.fetch")
            os.ftruncate(sink.fileno(), offset)
            os.fsync(sink.fileno())
        if digest.hexdigest() != about.sha512:
            draft.unlink()
            raise NotReady(f"The copy of image {image_id} did not arrive whole.", code="ImageCorrupted")
        draft.chmod(0o400)
        draft.rename(path)

    def _pieces(self, pool: Executor, image_id: str, size: int) -> Iterator[bytes]:
        """The bytes of an image; each piece is asked for while the one before is dealt with."""

        def ask(offset: int) -> Future[bytes]:
            return pool.submit(self._host.call, "image.read", {"id": image_id, "offset": offset, "length": CHUNK})

        asked = ask(0) if size else None
        offset = 0
        while asked is not None:
            data = asked.result()
            offset += len(data)
            asked = ask(offset) if data and offset < size else None
            if data:
                yield data

    def _prefetch(self, body: Body) -> Any:
        """`{"id": image id}`: have a copy of the image before anybody needs it."""
        self.base(str(body["id"]))
        return None

    def _tidy(self, _body: Body) -> Any:
        """Remove copies by the limits of this host; the answer is a report of what is left."""
        self._shelf.tidy(self._limits())
        return self.report()

    def _forget(self, body: Body) -> Any:
        """`{"id": image id}`: the image is gone; so is its copy, at once or with the last disk that stands on it."""
        image_id = str(body["id"])
        with self._shelf.alone(image_id):
            copy = self._shelf.find(image_id)
            if copy is not None:
                self._shelf.keep(image_id, msgspec.structs.replace(copy, unwanted=True))
        self._shelf.drop_unwanted()
        return None

    def _limits(self) -> Limits:
        settings = self._host.settings
        return Limits() if settings is None else Limits(settings.image_copies.size, settings.image_copies.age)


def _check(image_id: str, about: Described, path: Path) -> None:
    """Conflict for a file that is not of its image's declared format, or names others: nothing here may open it."""
    if not about.disk_format:
        return
    try:
        found = diskimage.candidates(*diskimage.of_file(path), about.disk_format)
    except Invalid as error:
        problem = error.message
    else:
        dangers = [danger.says for each in found if each.format != _HARMLESS for danger in each.dangers]
        problem = diskimage.mismatch(found, about.disk_format) or ", ".join(dangers)
    if problem:
        raise Conflict(f"Image {image_id} is unacceptable: {problem}", code="ImageUnacceptable")
