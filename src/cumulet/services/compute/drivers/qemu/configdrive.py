# SPDX-License-Identifier: Apache-2.0
"""The config drive: an ISO 9660 disk labelled `config-2`, made in process."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath

from pycdlib import PyCdlib

LABEL = "config-2"


def make(path: Path, files: dict[str, bytes]) -> None:
    """Write `files` (content by relative path, `openstack/latest/meta_data.json`) as a disk with long names."""
    disk = PyCdlib()
    disk.new(interchange_level=4, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    made: set[PurePosixPath] = set()
    for name, content in sorted(files.items()):
        target = PurePosixPath("/") / name
        for folder in reversed(target.parents):
            if folder.name and folder not in made:
                disk.add_directory(str(folder), rr_name=folder.name, joliet_path=str(folder))
                made.add(folder)
        disk.add_fp(io.BytesIO(content), len(content), str(target), rr_name=target.name, joliet_path=str(target))
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    disk.write(str(draft))
    disk.close()
    draft.chmod(0o600)
    draft.rename(path)
