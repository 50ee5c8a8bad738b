# SPDX-License-Identifier: Apache-2.0
"""The browsers' programs for consoles, noVNC and spice-html5, as Debian's packages hold them."""

from __future__ import annotations

from pathlib import Path

from cumulet.kernel.errors import NotFound
from cumulet.setup.packages import UNPACKED

LARGEST = 4 << 20  # bytes of a file
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mp3": "audio/mpeg",
    ".oga": "audio/ogg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".woff": "font/woff",
}
# Where each program is: its package installed, or only unpacked.
PROGRAMS = {
    name: tuple(folder / "usr/share" / package for folder in (Path("/"), *UNPACKED))
    for name, package in (("novnc", "novnc"), ("spice", "spice-html5"))
}


def read(program: str, path: str) -> tuple[bytes, str]:
    """A file of a program and its media type. NotFound for all else."""
    folder = next((folder for folder in PROGRAMS[program] if folder.is_dir()), None)
    if folder is None:
        raise NotFound(f"{program} is not installed on this machine: `make up` or `cumulet doctor` tell how.")
    file = (folder / path).resolve()
    media_type = _TYPES.get(file.suffix)
    if media_type is None or folder.resolve() not in file.parents or not file.is_file():
        raise NotFound("The resource could not be found.")
    if file.stat().st_size > LARGEST:
        raise NotFound("The resource could not be found.")
    return file.read_bytes(), media_type
