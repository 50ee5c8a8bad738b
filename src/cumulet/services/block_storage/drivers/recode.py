# SPDX-License-Identifier: Apache-2.0
"""Content that is encrypted, decrypted, or encrypted anew on its way from one disk into another."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from cumulet.kernel import memory_file
from cumulet.kernel.errors import Invalid, NotReady
from cumulet.kernel.run import Arg, CommandFailed
from cumulet.services.block_storage.contract import DiskSource, NetworkSource
from cumulet.services.block_storage.drivers.tool import COPY_TIME, Node, qemu_img, told
from cumulet.services.block_storage.types.encryption import HEADER, Recoding


def copy(source: DiskSource | NetworkSource, size: int, recoding: Recoding, target: Path, target_format: str) -> None:
    """Write what a guest sees of a disk of `size` bytes to `target`.

    That is a container of the same size where the recoding has one, and else is made. Invalid for a plain disk that
    has something where the container has no room left for it.
    """
    with ExitStack() as secrets:
        handles: list[int] = []

        def key(name: str, passphrase: str) -> tuple[str, str]:
            handle = secrets.enter_context(memory_file.holding(passphrase.encode()))
            handles.append(handle)
            return "--object", f"secret,id={name},file={memory_file.path_of(handle)}"

        found = told(source)
        if recoding.passphrase:
            found = _opened(found, key("have", recoding.passphrase))
        if recoding.container is None:
            plain: tuple[Arg, ...] = (*found.objects, "-O", target_format, found.name, target)
            qemu_img("convert", "-q", *plain, timeout=COPY_TIME, pass_fds=handles)
            return
        if not recoding.passphrase:
            _check_end(found, size)
            found = found._replace(words={"driver": "raw", "size": size - HEADER, "file": found.words})
        wanted = key("wanted", recoding.container.passphrase)
        path = str(target).replace(",", ",,")
        disk = (
            f"driver=luks,key-secret=wanted,file.driver={target_format},file.file.driver=file,file.file.filename={path}"
        )
        words = (*found.objects, *wanted, "-n", "--target-image-opts", found.name, disk)
        qemu_img("convert", "-q", *words, timeout=COPY_TIME, pass_fds=handles)


def is_done(source: DiskSource, recoding: Recoding) -> bool:
    """Whether the disk is recoded already. Its passphrases are nobody else's, so that what opens it says what it is."""
    if recoding.container is not None:
        return _opens(source, recoding.container.passphrase)
    return not _opens(source, recoding.passphrase)


def _opens(source: DiskSource, passphrase: str) -> bool:
    qemu_img("info", "--output=json", told(source).name)  # what is wrong with the file itself is raised
    with memory_file.holding(passphrase.encode()) as handle:
        secret = ("--object", f"secret,id=have,file={memory_file.path_of(handle)}")
        found = _opened(told(source), secret)
        try:
            # Without reading anything the key is not looked at.
            qemu_img("map", "--max-length=512", *found.objects, "--output=json", found.name, pass_fds=[handle])
        except CommandFailed as failure:
            if failure.code is None or failure.code < 0:  # it was ended before it could say anything
                raise NotReady("The volume could not be looked at.") from failure
            return False
    return True


def _opened(disk: Node, secret: tuple[str, str]) -> Node:
    """What is in the container, by the secret called `have`."""
    return Node({"driver": "luks", "key-secret": "have", "file": disk.words}, (*disk.objects, *secret))


def _check_end(disk: Node, size: int) -> None:
    """A container's header takes as much from the end of what a guest sees."""
    end = disk._replace(words={"driver": "raw", "offset": size - HEADER, "size": HEADER, "file": disk.words})
    with memory_file.holding(bytes(HEADER)) as handle:
        words = (*end.objects, "-n", "-O", "raw", end.name, memory_file.path_of(handle))
        qemu_img("convert", "-q", *words, pass_fds=[handle])
        if any(os.pread(handle, HEADER, 0)):
            raise Invalid(f"The last {HEADER} bytes of the volume hold something: the header would have no room.")
