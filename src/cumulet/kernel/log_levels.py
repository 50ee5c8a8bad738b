# SPDX-License-Identifier: Apache-2.0
"""How much this process writes into its log: asked and changed while it runs, until it ends."""

from __future__ import annotations

import logging

LEVELS = ("INFO", "WARNING", "ERROR", "DEBUG")


def found(prefix: str = "") -> dict[str, str]:
    """The level in force of each logger whose name begins so, by name."""
    return {name: logging.getLevelName(each.getEffectiveLevel()) for name, each in _loggers(prefix)}


def change(level: str, prefix: str = "") -> None:
    """Let the loggers whose names begin so write what is of this level or worse. ValueError for no level."""
    if level.upper() not in LEVELS:
        raise ValueError(f"{level} is not a valid log level.")
    for _, each in _loggers(prefix):
        each.setLevel(level.upper())


def _loggers(prefix: str) -> list[tuple[str, logging.Logger]]:
    # Others may make loggers at this moment.
    listed = list(logging.root.manager.loggerDict.items())
    return sorted((name, each) for name, each in listed if isinstance(each, logging.Logger) and name.startswith(prefix))
