# SPDX-License-Identifier: Apache-2.0
"""Searches of servers by name: what costs the database little is left to it, the rest is searched for here.

The database knows `^` and `$` at the ends, `.` and `.*`, and a backslash before a sign that stands for itself. No other
expression reaches it: run over everybody's servers, one could be made to hold up the whole cloud.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cumulet.services.compute.logic import expressions

ESCAPE = "\\"
_PLAIN = re.compile(r"\^?(?:\\[^a-zA-Z0-9]|\.\*|[^\\*+?(){}\[\]|^$])*\$?")


def search(pattern: str) -> Callable[[str], bool] | None:
    """How to search for what is too much for `like`; None for the rest, and for what cannot be searched for at all."""
    if _PLAIN.fullmatch(pattern):
        return None
    try:
        return expressions.search(pattern)
    except expressions.Unsayable:
        return None


def like(pattern: str) -> str:
    """The pattern as SQL's LIKE takes it with `ESCAPE`; without anchors any part of the text may match."""
    begins, ends = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    text = pattern[1 if begins else 0 : len(pattern) - (1 if ends else 0)]
    found, at = [], 0
    while at < len(text):
        if text.startswith(".*", at):
            found.append("%")
            at += 2
            continue
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
            found.append(_literal(text[at]))
        else:
            found.append("_" if text[at] == "." else _literal(text[at]))
        at += 1
    return ("" if begins else "%") + "".join(found) + ("" if ends else "%")


def _literal(sign: str) -> str:
    return ESCAPE + sign if sign in ("%", "_", ESCAPE) else sign
