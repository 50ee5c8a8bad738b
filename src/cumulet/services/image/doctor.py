# SPDX-License-Identifier: Apache-2.0
"""Whether imports can be worked on as the settings ask for."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING

from cumulet.kernel.doctor import Finding, Probe

if TYPE_CHECKING:
    from cumulet.settings import Settings

_CONVERSION = "image_conversion"


def probes(settings: Settings) -> list[Probe]:
    """One for the plug-ins of imports, where there are any."""
    names = settings.image_import.plugins
    return [Probe("image: import plug-ins", partial(_plugins, names))] if names else []


def _plugins(names: tuple[str, ...]) -> Finding:
    """Whether each plug-in is there, and what it needs."""
    from cumulet.kernel.errors import Unsupported
    from cumulet.services.image.logic import plugins

    missing = []
    for name in names:
        try:
            plugins.find(name)
        except Unsupported:
            missing.append(name)
    if missing:
        return Finding("degraded", f"every import fails: no package offers {', '.join(missing)}")
    if _CONVERSION in names and shutil.which("qemu-img") is None:
        return Finding("degraded", "images are not converted: qemu-img is missing", "apt-get install qemu-utils")
    return Finding("ok", f"imports go through {', '.join(names)}")
