# SPDX-License-Identifier: Apache-2.0
"""The guest image as commands need it: the operator's own, or the one that is built here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cumulet.cli.show import Phase
from cumulet.kernel.run import CommandFailed
from cumulet.settings import Settings

FILE_NAME = "guest.qcow2"


def place(settings: Settings) -> Path:
    """Where the guest image is, or will be."""
    return Path(settings.image.guest).expanduser() if settings.image.guest else settings.cache / FILE_NAME


def build(settings: Settings, output: Path, progress: Callable[[str], None]) -> Path:
    """Build the image at `output`. Raises guest.build.GuestBuildError or CommandFailed."""
    from cumulet.guest import build as builder

    return builder.build(output, settings.cache / "guest", progress)


def find_or_build(settings: Settings, phase: Phase) -> Path | None:
    """The image, built if need be; None, with the reason as the phase's detail, where there can be none."""
    path = place(settings)
    if settings.image.guest:
        phase.detail = str(path) if path.is_file() else f"{path} is not there: the cloud gets no image"
        return path if path.is_file() else None
    from cumulet.guest.build import GuestBuildError

    said: list[str] = []
    try:
        build(settings, path, said.append)
    except (GuestBuildError, CommandFailed, OSError) as error:
        phase.detail = f"the cloud gets no image: {error}"
        return None
    phase.detail = f"{path} ({path.stat().st_size / 1e6:.0f} MB{', from the cache' if len(said) == 1 else ''})"
    return path
