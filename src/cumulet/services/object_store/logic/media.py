# SPDX-License-Identifier: Apache-2.0
"""In which of its forms a listing is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cumulet.kernel.errors import Invalid, NotAcceptable

PLAIN, JSON, XML, TEXT_XML = "text/plain", "application/json", "application/xml", "text/xml"
OFFERED = (PLAIN, JSON, XML, TEXT_XML)

_NAMES = {"plain": PLAIN, "json": JSON, "xml": XML}
_WORD = r'[^()<>@,;:"/\[\]?={}\x00-\x20\x7f]+'
_PARAMETER = rf'\s*;\s*({_WORD})\s*=\s*({_WORD}|"[^"\\]*")'
_RANGE = re.compile(rf"\s*({_WORD})/({_WORD})((?:{_PARAMETER})*)\s*")
_PARAMETERS = re.compile(_PARAMETER)


def of_listing(query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """One of OFFERED, by the query's `format`, else by Accept. Invalid, or NotAcceptable where none is taken."""
    name = query.get("format")
    if name:
        return _NAMES.get(name.lower(), PLAIN)
    found = best_of(headers.get("accept", ""))
    if found is None:
        raise NotAcceptable("The resource identified is not acceptable to the client.")
    return found


def best_of(accept: str, offered: Sequence[str] = OFFERED) -> str | None:
    """What the header likes best of what is offered; where it likes several alike, the one that it names itself."""
    if not accept:
        return offered[0]
    wanted = [_wanted(each) for each in accept.split(",")]
    wanted.sort(key=lambda each: (each[0], "*" not in each[1:]), reverse=True)
    for _, kind, subtype in wanted:
        for each in offered:
            if all(word in ("*", part) for word, part in zip((kind, subtype), each.split("/"), strict=True)):
                return each
    return None


def takes(accept: str, offered: str) -> bool:
    """Whether a media type is one that the header names. Invalid for a header that is none."""
    wanted = [_wanted(each)[1:] for each in accept.split(",")] if accept else [("*", "*")]
    kind, _, subtype = offered.partition("/")
    return any(each[0] in ("*", kind) and each[1] in ("*", subtype) for each in wanted)


def _wanted(text: str) -> tuple[float, str, str]:
    """A quality and a range of media types."""
    found = _RANGE.fullmatch(text)
    if found is None:
        raise Invalid("Invalid Accept header")
    qualities = [value for name, value in _PARAMETERS.findall(found[3]) if name == "q"]
    try:
        quality = float(qualities[0]) if qualities else 1.0
    except ValueError:
        raise Invalid("Invalid Accept header") from None
    if len(qualities) > 1:
        raise Invalid("Invalid Accept header")
    return quality, found[1], found[2]
