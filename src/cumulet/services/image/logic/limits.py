# SPDX-License-Identifier: Apache-2.0
"""How much may hang on one image: Glance's default quotas, and what a database can keep."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cumulet.kernel.errors import Invalid, TooLarge
from cumulet.services.image.types import RESERVED_PREFIX

PROPERTIES = 128
TAGS = 128
MEMBERS = 128
LONGEST_NAME = 255  # characters of a property's name
LARGEST_IMAGE = 1 << 40  # bytes
LARGEST_NUMBER = (1 << 31) - 1


def check_properties(properties: Mapping[str, str]) -> None:
    """TooLarge for too many words on an image, Invalid for a name that is too long."""
    own = [name for name in properties if not name.startswith(RESERVED_PREFIX)]
    if any(len(name) > LONGEST_NAME for name in own):
        raise Invalid(f"Custom property should not be greater than {LONGEST_NAME} characters.")
    _check("properties", len(own), PROPERTIES)


def check_tags(tags: Collection[str]) -> None:
    """TooLarge for too many tags."""
    _check("tags", len(set(tags)), TAGS)


def check_members(image_id: str, count: int) -> None:
    """TooLarge for too many members."""
    try:
        _check("members for this image", count, MEMBERS)
    except TooLarge as error:
        raise TooLarge(f"Image member limit exceeded for image {image_id}: {error.message}:") from None


def check_number(name: str, value: int) -> None:
    """Invalid for a number that is negative or larger than can be kept."""
    if value < 0:
        raise Invalid(f"Invalid value '{value}' for parameter '{name}': Cannot be a negative value")
    if value > LARGEST_NUMBER:
        raise Invalid(f"Invalid value '{value}' for parameter '{name}': Cannot be larger than {LARGEST_NUMBER}")


def _check(what: str, attempted: int, maximum: int) -> None:
    if attempted > maximum:
        raise TooLarge(
            f"The limit has been exceeded on the number of allowed image {what}. "
            f"Attempted: {attempted}, Maximum: {maximum}"
        )
