# SPDX-License-Identifier: Apache-2.0
"""What names, metadata and sizes are accepted; the words of the refusals are Swift's.

Headers are as they came: each character stands for a byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from cumulet.kernel.errors import Invalid, Precondition, TooLarge

Kind = Literal["account", "container", "object"]

LAST_TIME = 9_999_999_999  # seconds: expiry times have ten digits
RESERVED = "\0"  # begins the names that the store gives to what it makes for itself


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Swift's constraints, by its names and with its defaults; `/info` shows them. Sizes are bytes."""

    max_file_size: int = 5368709122
    max_meta_name_length: int = 128
    max_meta_value_length: int = 256
    max_meta_count: int = 90
    max_meta_overall_size: int = 4096
    max_header_size: int = 8192
    max_request_line: int = 8192
    max_object_name_length: int = 1024
    container_listing_limit: int = 10000
    account_listing_limit: int = 10000
    max_account_name_length: int = 256
    max_container_name_length: int = 256
    valid_api_versions: tuple[str, ...] = ("v1", "v1.0")
    extra_header_count: int = 0
    auto_create_account_prefix: str = "."


def check_type(kind: str) -> None:
    """Invalid for a media type with a parameter that is the store's own."""
    if any(word.lstrip().startswith("swift_") for word in kind.split(";")[1:]):
        raise Invalid("Invalid Content-Type, swift_* is not a valid parameter name.")


def check_metadata(limits: Limits, headers: Mapping[str, str], kind: Kind) -> None:
    """Invalid for the first header that may not be kept."""
    prefix = f"x-{kind}-meta-"
    count = size = 0
    for name, value in headers.items():
        if len(value) > limits.max_header_size:
            raise Invalid(f"Header value too long: {_capital(name)[: limits.max_meta_name_length]}")
        if not name.startswith(prefix):
            continue
        key = _capital(name[len(prefix) :])
        count, size = count + 1, size + len(key) + len(value)
        _check_item(limits, kind, key, value)
        if count > limits.max_meta_count:
            raise Invalid(f"Too many metadata items; max {limits.max_meta_count}")
        if size > limits.max_meta_overall_size:
            raise Invalid(f"Total metadata too large; max {limits.max_meta_overall_size}")


def check_name(limits: Limits, kind: Kind, name: str) -> None:
    """Invalid for a name that is too long; `name` is as on the wire."""
    longest = {
        "account": limits.max_account_name_length,
        "container": limits.max_container_name_length,
        "object": limits.max_object_name_length,
    }[kind]
    if len(name) > longest:
        form = {} if kind == "object" else {"Content-Type": "text/html; charset=UTF-8"}
        raise Invalid(f"{kind.title()} name length of {len(name)} longer than {longest}", headers=form)


def check_path(path: str) -> None:
    """Precondition for what no names can be made of: not UTF-8, or names that are the store's own."""
    if not is_text(path):
        raise Precondition("Invalid UTF8 or contains NULL")


def check_upload(limits: Limits, headers: Mapping[str, str], size: int | None) -> None:
    """Invalid or TooLarge for an object that is not taken; `size` is None for one whose end is yet to come."""
    if size is not None and size > limits.max_file_size:
        raise too_large()
    kind = headers.get("content-type")
    if kind is None:
        raise Invalid("No content type")
    if not is_text(kind):
        raise Invalid("Invalid Content-Type")
    check_metadata(limits, headers, "object")


def too_large() -> TooLarge:
    """For a body of more bytes than an object may have."""
    return TooLarge("Your request is too large.")


def expiry(headers: Mapping[str, str], now: float) -> int | None:
    """The second at which the object ends, by X-Delete-After, else X-Delete-At; Invalid for one that has been."""
    after, at = headers.get("x-delete-after"), headers.get("x-delete-at")
    if after is not None:
        end = _bounded(now + _bounded(_whole(after, "X-Delete-After")))
        if end <= now:
            raise Invalid("X-Delete-After in past")
        return end
    if at is None:
        return None
    end = _bounded(_whole(at, "X-Delete-At"))
    if end <= now:
        raise Invalid("X-Delete-At in past")
    return end


def is_text(value: str) -> bool:
    """Whether the bytes are UTF-8, without the character that is the store's own. Nothing is no text."""
    if not value or RESERVED in value:
        return False
    try:
        value.encode("latin-1").decode()
    except UnicodeError:
        return False
    return True


def is_utf8(value: str) -> bool:
    """As `is_text`, but names that are the store's own count as well."""
    return bool(value) and is_text(value.replace(RESERVED, "."))


def _check_item(limits: Limits, kind: Kind, key: str, value: str) -> None:
    if not key:
        raise Invalid("Metadata name cannot be empty")
    if kind != "object" and not (is_text(key) and (not value or is_text(value))):
        raise Invalid("Metadata must be valid UTF-8")
    if len(key) > limits.max_meta_name_length:
        raise Invalid(f"Metadata name too long: x-{kind}-meta-{key}")
    if len(value) > limits.max_meta_value_length:
        longest = limits.max_meta_value_length
        raise Invalid(f"Metadata value longer than {longest}: x-{kind}-meta-{key}")


def _capital(name: str) -> str:
    """As Swift prints names of headers: only letters of ASCII have cases."""
    return name.encode("latin-1").title().decode("latin-1")


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Invalid(f"Non-integer {name}") from None


def _bounded(seconds: float) -> int:
    return min(max(int(seconds), 0), LAST_TIME)
