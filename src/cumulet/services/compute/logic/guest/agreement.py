# SPDX-License-Identifier: Apache-2.0
"""What flavor and image say of the same thing: who has the word, and what they may not contradict each other in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.extra_specs import is_true
from cumulet.services.compute.logic.guest import properties
from cumulet.services.compute.types import Flavor


@dataclass(frozen=True)
class Wishes:
    """A flavor and the properties of an image, read; the image's name and id for those who are told of a conflict."""

    flavor: Flavor
    image: Mapping[str, Any]
    image_name: str | None = None
    image_id: str = "<no-id>"

    @classmethod
    def of(cls, flavor: Flavor, words: Mapping[str, str], name: str | None = None, image_id: str = "") -> Wishes:
        """Read them; Invalid for properties that cannot be."""
        return cls(flavor, properties.read(words), name, image_id or "<no-id>")

    def spec(self, key: str, prefix: str = "hw") -> str | None:
        """What the flavor says."""
        return self.flavor.extra_specs.get(f"{prefix}:{key}")

    def pair(self, key: str, prefix: str = "hw") -> tuple[str | None, Any]:
        """What the flavor says, and what the image says."""
        return self.spec(key, prefix), self.image.get(f"{prefix}_{key}")

    def one(self, key: str, prefix: str = "hw") -> Any:
        """What either says; Invalid where both do and differ."""
        spec, word = self.pair(key, prefix)
        if spec and word and spec != word:
            raise self.conflict(key, spec, word, prefix)
        return spec or word

    def flag(self, key: str) -> bool | None:
        """The same of a truth value; None where nobody says anything."""
        spec, word = self.pair(key)
        wanted = None if spec is None else is_true(spec)
        if wanted is not None and word is not None and wanted != word:
            raise self.conflict(key, wanted, word)
        return word if wanted is None else wanted

    def conflict(self, key: str, spec: object, word: object, prefix: str = "hw") -> Invalid:
        return Invalid(
            f"Flavor {self.flavor.name} has {prefix}:{key} extra spec explicitly set to {spec}, conflicting with image "
            f"{self.image_name} which has {prefix}_{key} explicitly set to {word}.",
            code="FlavorImageConflict",
        )


def choose(value: Any, known: tuple[str, ...], what: str) -> Any:
    """The value; Invalid where it is none of those known."""
    if value and value not in known:
        raise Invalid(f"Invalid {what} {value!r}. Allowed values: {', '.join(known)}.", code="Invalid")
    return value


def number(value: Any) -> int:
    """A number that a flavor gives as text; what is none says nothing."""
    try:
        return int(value or 0)
    except ValueError:
        return 0
