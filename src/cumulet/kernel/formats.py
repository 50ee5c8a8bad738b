# SPDX-License-Identifier: Apache-2.0
"""The formats that request schemas name: one function each, used by both validators alike.

Facts: what OpenStack's services accept (compute's and block storage's format checkers, oslo.utils, RFC 3986, RFC 4291).
A format judges texts only; another type passes, as JSON Schema has it. A service adds formats of its own to `FORMATS`
when it is loaded.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

_LAST = 0xFFFE  # compute takes names of the basic plane only


@dataclass(frozen=True, slots=True)
class Format:
    """`accepts` judges a text; `says`, if given, is the whole refusal, in place of the usual wording."""

    accepts: Callable[[str], bool]
    says: str = ""


FORMATS: dict[str, Format] = {}


def _name(text: str) -> str:
    return f"An invalid 'name' value was provided. The name must be: {text}"


def is_printable(text: str) -> bool:
    """Letters, marks, numbers, punctuation, symbols and spaces of the basic plane: no controls, no line separators."""
    return all(
        ord(char) <= _LAST and ((kind := unicodedata.category(char))[0] not in "CZ" or kind == "Zs") for char in text
    )


def _without_line_end(text: str) -> str:
    """One newline at the end is overlooked, as `$` overlooks it in the pattern that compute uses."""
    return text[:-1] if text.endswith("\n") else text


def _is_space(char: str) -> bool:
    return unicodedata.category(char) == "Zs"


def is_name(text: str) -> bool:
    """Printable, with no space at either end; the empty text passes, so that its length alone is complained of."""
    body = _without_line_end(text)
    if not body:
        return not text
    return is_printable(body) and not _is_space(body[0]) and not _is_space(body[-1])


def is_loose_name(text: str) -> bool:
    """Printable, not of spaces alone."""
    body = _without_line_end(text)
    return is_printable(body) and not all(_is_space(char) for char in body)


def is_uuid(text: str) -> bool:
    """A UUID with dashes anywhere or nowhere, in braces or as a URN, in any case."""
    digits = text.replace("urn:", "").replace("uuid:", "").strip("{}").replace("-", "").lower()
    return re.fullmatch(r"[0-9a-f]{32}", digits) is not None


_MOMENT = re.compile(
    r"(?P<year>[0-9]{4})"
    r"(?:(?:-(?P<month>[0-9]{1,2})|(?P<month2>[0-9]{2})(?!\Z))"
    r"(?:(?:-(?P<day>[0-9]{1,2})|(?P<day2>[0-9]{2}))"
    r"(?:[ T](?P<hour>[0-9]{2})(?::?(?P<minute>[0-9]{2}))?(?::?(?P<second>[0-9]{1,2})(?:[.,][0-9]+)?)?"
    r"(?:Z|[+-](?P<zone_hour>[0-9]{2}):?(?P<zone_minute>[0-9]{2})?)?)?)?)?"
)


def is_moment(text: str) -> bool:
    """A date, or a date and a time of day, in the spellings of ISO 8601 that OpenStack reads; and one that exists."""
    found = _MOMENT.fullmatch(_without_line_end(text))
    if found is None:
        return False
    month = found["month"] or found["month2"] or "1"
    day = found["day"] or found["day2"] or "1"
    clock = [int(found[part] or 0) for part in ("hour", "minute", "second")]
    try:
        datetime(int(found["year"]), int(month), int(day), clock[0], clock[1], clock[2])
    except ValueError:
        return False
    return int(found["zone_hour"] or 0) * 60 + int(found["zone_minute"] or 0) < 24 * 60


_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://"
    r"(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)(?:%25(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+)?\]"
    r"|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+|(?=:)|(?<=@))"
    r"(?::[0-9]{0,5})?"
    r"(?:/[^?#\[\]]*)?"
    r"(?:\?[^#\[\]]*)?"
    r"(?:#[^#\[\]]*)?"
)


def is_uri(text: str) -> bool:
    """A URI with a scheme and a host (RFC 3986); after the host, what would have to be percent-encoded passes too."""
    found = _URI.fullmatch(text)
    return found is not None and (found["ipv6"] is None or is_ipv6(found["ipv6"]))


def is_base64(text: str) -> bool:
    """Base64 in full groups; ASCII characters outside of its alphabet are overlooked."""
    try:
        base64.b64decode(text.encode("ascii"))
    except ValueError:
        return False
    return True


def is_ipv4(text: str) -> bool:
    """Four decimal numbers, without leading zeros."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def is_ipv6(text: str) -> bool:
    """An IPv6 address without a zone."""
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False


def is_cidr(text: str) -> bool:
    """An address and a prefix length or mask; the bits of the host need not be zero."""
    if "/" not in text or re.search(r"\s", text):
        return False
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "%" not in text


def is_regex(text: str) -> bool:
    """A pattern of Python's, and not the empty one."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return False
    return text != ""


FORMATS.update({
    "uuid": Format(is_uuid),
    "date-time": Format(is_moment),
    "uri": Format(is_uri),
    "base64": Format(is_base64),
    "ipv4": Format(is_ipv4),
    "ipv6": Format(is_ipv6),
    "cidr": Format(is_cidr),
    "regex": Format(is_regex),
    "email": Format(lambda text: "@" in text),
    "mac-address": Format(lambda text: re.fullmatch(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", text) is not None),
    "name": Format(is_name, _name("printable characters. Can not start or end with whitespace.")),
    "description": Format(lambda text: is_printable(_without_line_end(text))),
    "name_with_leading_trailing_spaces": Format(
        is_loose_name, _name("printable characters with at least one non space character")
    ),
    "az_name": Format(
        lambda text: ":" not in text and is_name(text),
        _name("printable characters except :.Can not start or end with whitespace."),
    ),
    "az_name_with_leading_trailing_spaces": Format(
        lambda text: ":" not in text and is_loose_name(text),
        _name("printable characters except :, with at least one non space character"),
    ),
})  # fmt: skip
