# SPDX-License-Identifier: Apache-2.0
"""What may be done to imported data on the way: the plug-ins of this package, and those that other packages bring."""

from __future__ import annotations

from cumulet.kernel import plugins
from cumulet.kernel.errors import Unsupported
from cumulet.services.image.contract import ImportPlugin
from cumulet.services.image.logic.plugins import conversion, decompression, metadata

GROUP = "cumulet.image.import_plugins"

_OWN: dict[str, ImportPlugin] = {
    "image_decompression": decompression.decompress,
    "image_conversion": conversion.convert,
    "inject_image_metadata": metadata.inject,
}


def find(name: str) -> ImportPlugin:
    """The plug-in of this name; Unsupported where nobody brings one."""
    if name in _OWN:
        return _OWN[name]
    try:
        found: ImportPlugin = plugins.load(GROUP, name)
    except LookupError as error:
        raise Unsupported(f"There is no plug-in {name} for imports.") from error
    return found
