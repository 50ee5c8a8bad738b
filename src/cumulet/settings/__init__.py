# SPDX-License-Identifier: Apache-2.0
"""What an operator may choose: one typed tree, filled from defaults, `cumulet.toml`, the environment and flags.

A later source wins over an earlier one. In the environment a setting is spelled `CUMULET_SECTION__KEY`
(`CUMULET_STATE`, `CUMULET_CONTROL__PORT`); as a flag it is `--set section.key=value`. Values given as text are read by
the type of the setting; a list is separated by commas. `docs/operate/settings.md` describes each one.
"""

from __future__ import annotations

from cumulet.settings.sources import FILE_NAME, SYSTEM_FILE, SettingsError, known_names, load
from cumulet.settings.tree import Settings, default_cache, default_state

__all__ = [
    "FILE_NAME",
    "SYSTEM_FILE",
    "Settings",
    "SettingsError",
    "default_cache",
    "default_state",
    "known_names",
    "load",
]
