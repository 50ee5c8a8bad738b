# SPDX-License-Identifier: Apache-2.0
"""How much may hang on one image: the operator's quotas, and what a database can keep."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cumulet.kernel.errors import Invalid, TooLarge
from cumulet.services.image.types import RESERVED_PREFIX
from cumulet.settings.image import ImageUse

LONGEST_NAME = 255  # characters of a property's name
LARGEST_NUMBER = (1 << 31) - 1


def check_properties(quotas: ImageUse, properties: Mapping[str, str]) -> None:
    """TooLarge for too many words on an image, Invalid for a name that is too long."""
    own = [name for name in properties if not name.startswith(RESERVED_PREFIX)]
    if any(len(name) > LONGEST_NAME for name in own):
        raise Invalid(f"Custom property should not be greater than {LONGEST_NAME} characters.")
    _check("properties", len(own), quotas.image_property_quota)


def check_tags(quotas: ImageUse, tags: Collection[str]) -> None:
    """TooLarge for too many tags."""
    _check("tags", len(set(tags)), quotas.image_tag_quota)


def check_members(quotas: ImageUse, image_id: str, count: int) -> None:
    """TooLarge for too many members."""
    try:
        _check("members for this image", count, quotas.image_member_quota)
    except TooLarge as error:
        raise TooLarge(f"Image member limit exceeded for image {image_id}: {error.message}:") from None


def check_locations(quotas: ImageUse, count: int) -> None:
    """TooLarge for too many locations."""
    _check("locations", count, quotas.image_location_quota)


def check_number(name: str, value: int) -> None:
    """Invalid for a number that is negative or larger than can be kept."""
    if value < 0:
        raise Invalid(f"Invalid value '{value}' for parameter '{name}': Cannot be a negative value")
    if value > LARGEST_NUMBER:
        raise Invalid(f"Invalid value '{value}' for parameter '{name}': Cannot be larger than {LARGEST_NUMBER}")


def _check(what: str, attempted: int, maximum: int) -> None:
    if 0 <= maximum < attempted:
        raise TooLarge(
            f"The limit has been exceeded on the number of allowed image {what}. "
            f"Attempted: {attempted}, Maximum: {maximum}"
        )
