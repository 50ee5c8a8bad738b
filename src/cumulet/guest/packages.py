# SPDX-License-Identifier: Apache-2.0
"""Debian packages as files: which versions there are, fetched once, unpacked into one tree."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

from cumulet.guest import recipe
from cumulet.kernel.run import CommandFailed, run

LISTS = Path("/var/lib/apt/lists")


class GuestBuildError(Exception):
    """The image cannot be built here; the message says what is missing."""


class Versions(msgspec.Struct, frozen=True):
    """Package names with the versions on offer, as read from the package lists that `lists` is the fingerprint of."""

    lists: str
    packages: dict[str, str]

    @property
    def kernel(self) -> str:
        """The kernel's own package, `linux-image-6.1.0-1-cloud-amd64`."""
        return next(name for name in self.packages if name.startswith("linux-image-"))

    @property
    def release(self) -> str:
        """The kernel's release as `uname -r` prints it."""
        return self.kernel.removeprefix("linux-image-")


def versions(cache: Path) -> Versions:
    """The versions that apt would fetch now; asked of apt once for each state of its package lists."""
    memory = cache / "versions.json"
    lists = _fingerprint()
    try:
        known = msgspec.json.decode(memory.read_bytes(), type=Versions)
        if known.lists == lists and known.packages.keys() >= set(recipe.PACKAGES):
            return known
    except (FileNotFoundError, msgspec.DecodeError):
        pass
    try:
        found = Versions(lists, _ask())
    except GuestBuildError:
        run(["apt-get", "update", "-q"], timeout=300)
        found = Versions(_fingerprint(), _ask())
    memory.write_bytes(msgspec.json.encode(found))
    return found


def fetch(wanted: Versions, folder: Path) -> list[Path]:
    """Bring the packages' files into `folder` (apt checks their signatures) and return them; those there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name, version in wanted.packages.items() if not _file(folder, name, version)]
    if missing:
        words = [f"{name}={wanted.packages[name]}" for name in missing]
        try:
            run(["apt-get", "download", "-q", *words], cwd=folder, timeout=600)
        except CommandFailed as error:
            raise GuestBuildError(
                f"apt cannot fetch the packages, 'apt-get update' may mend it: {error.output}"
            ) from error
    files = [_file(folder, name, version) for name, version in wanted.packages.items()]
    if None in files:
        raise GuestBuildError("apt fetched other packages than asked")
    return [path for path in files if path is not None]


def unpack(files: list[Path], tree: Path) -> None:
    """Put the packages' files into `tree`; none of their scripts is run."""
    tree.mkdir(parents=True)
    for path in files:
        run(["dpkg", "-x", path, tree], timeout=120)


def _ask() -> dict[str, str]:
    kernel = re.search(r"Depends: (linux-image-\S+)", _apt_cache("depends", recipe.KERNEL))
    if kernel is None:
        raise GuestBuildError(f"the package lists do not know {recipe.KERNEL}")
    names = [kernel.group(1), *recipe.PACKAGES]
    text = _apt_cache("policy", *names)
    found = dict(re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: (\S+)$", text, re.MULTILINE))
    missing = [name for name in names if found.get(name, "(none)") == "(none)"]
    if missing:
        raise GuestBuildError(f"the package lists do not know {', '.join(missing)}")
    return {name: found[name] for name in names}


def _apt_cache(*words: str) -> str:
    try:
        return run(["apt-cache", *words], env={"LC_ALL": "C"}).stdout.decode()
    except CommandFailed as error:
        raise GuestBuildError(f"apt-cache {words[0]}: {error.output}") from error


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(LISTS.glob("*_Packages*")):
        facts = path.stat()
        digest.update(f"{path.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _file(folder: Path, name: str, version: str) -> Path | None:
    for architecture in ("amd64", "all"):
        path = folder / f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"
        if path.exists():
            return path
    return None
