# SPDX-License-Identifier: Apache-2.0
"""What may be asked for in a search of servers by name: the part of regular expressions that costs the database little.

`^` and `$` at the ends, `.` and `.*`, and a backslash before a sign that stands for itself; every other sign stands for
itself too. A full expression, run over everybody's servers, could be made to hold up the whole cloud.
"""

from __future__ import annotations

ESCAPE = "\\"


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
