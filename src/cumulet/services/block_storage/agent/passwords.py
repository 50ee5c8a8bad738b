# SPDX-License-Identifier: Apache-2.0
"""The CHAP secrets by which this host's servers open volumes, asked for when a disk is opened.

They come neither with the orders nor into the records of servers: hypervisors read them out of files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cumulet.kernel.errors import NotFound, NotReady
from cumulet.kernel.secrets import write_private

ASK = "volume.secret"  # the control plane's verb: `{id, generation}` is answered by `{secret}`


class Passwords:
    """Files in `folder`; `call` asks the control plane."""

    def __init__(self, folder: Path, call: Callable[..., Any]) -> None:
        self._folder = folder
        self._call = call

    def ready(self, volume_id: str, generation: int) -> Path:
        """The file with the secret of this attachment. NotReady where nobody knows it now."""
        if "/" in volume_id or volume_id.startswith("."):
            raise NotFound(f"{volume_id} is not the name of a volume.")
        path = self._folder / volume_id / str(generation)
        try:
            answer = self._call(ASK, {"id": volume_id, "generation": generation})
            secret = str(answer["secret"])
        except NotReady:
            if not path.exists():
                raise
        except (KeyError, TypeError) as error:
            raise NotReady("the control plane gives no secrets of volumes") from error
        else:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(path, secret)
        return path

    def forget(self, volume_id: str) -> None:
        """No server of this host has the volume."""
        shutil.rmtree(self._folder / volume_id, ignore_errors=True)
