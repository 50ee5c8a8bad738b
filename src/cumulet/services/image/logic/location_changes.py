# SPDX-License-Identifier: Apache-2.0
"""What users and services say of where an image's data are: places looked at, sums compared, locations changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Conflict, CumuletError, Forbidden, Invalid
from cumulet.kernel.ids import is_uuid
from cumulet.services.image.logic import locations, stores
from cumulet.services.image.logic.stores import Store
from cumulet.services.image.types import HASH_ALGORITHM, Image, ImageStatus, Location

# Stores whose addresses are names of files here: nobody may have those read by naming them.
_OWN_DISK = frozenset({"file"})
_SUMS = ("checksum", "os_hash_algo", "os_hash_value")
_DIGITS = {"checksum": 32, "os_hash_value": 128}


class Place(msgspec.Struct, frozen=True):
    """An address that was looked at: the store that it is in, the name there, and how many bytes there are."""

    store: Store
    key: str
    size: int


Places = Mapping[str, Place]


def look_at(cloud: Cloud, image_id: str, url: str) -> Place:
    """What is at an address. Invalid for one in no store, on this machine's disk, of another image, or without bytes.

    Slow: never in a transaction.
    """
    found = stores.holder(cloud, url)
    if found is None or found[0].type in _OWN_DISK or (is_uuid(found[1]) and found[1] != image_id):
        raise Invalid("Invalid location")
    store, key = found
    try:
        size = store.bytes.size(key)
    except CumuletError as error:
        raise Invalid("Invalid location") from error
    if size <= 0:
        raise Invalid("Invalid location")
    return Place(store, key, size)


class Drawn:
    """The locations of an image on their way from one state to another."""

    def __init__(self, cloud: Cloud, image: Image, found: list[Location], places: Places) -> None:
        self._cloud = cloud
        self._image = image
        self._places = places
        self.before = locations.ordered(cloud, found)
        self.after = list(self.before)
        self.dropped: list[Location] = []
        self.fields: dict[str, Any] = {}  # changes of the image that come with those of its locations

    @property
    def changed(self) -> bool:
        return self.after != self.before

    def add(self, position: str, said: Mapping[str, Any]) -> None:
        """Put a location at a position, `-` for the end. Conflict, Invalid."""
        self.check_status("add")
        self._take_sums([said])
        index = _index(position, len(self.after), beyond=True)
        if index is None:
            raise Invalid("Invalid position for adding a location.")
        self.after.insert(index, self._new(said, self.after))
        self._fill(said)

    def replace(self, said: list[Mapping[str, Any]]) -> None:
        """Let these be the locations: for an image without any, or the same ones with other metadata."""
        self.check_status("replace")
        self._take_sums(said)
        known = {self._url(each): each for each in self.after}
        urls = [each["url"] for each in said]
        if self.after and sorted(urls) != sorted(known):
            raise Invalid(f"Original locations is not empty: {sorted(known)}")
        wanted: list[Location] = []
        for each in said:
            old = known.get(each["url"])
            wanted.append(
                self._new(each, wanted) if old is None else msgspec.structs.replace(old, metadata=_metadata(each))
            )
        self.after = wanted
        self._fill(said[0])

    def remove(self, position: str) -> None:
        """Take a location off, and its bytes."""
        self.check_status("remove")
        if len(self.after) == 1:
            raise Forbidden("Cannot remove last location in the image.")
        index = _index(position, len(self.after), beyond=False)
        if index is None:
            raise Invalid("Invalid position for removing a location.")
        self.dropped.append(self.after.pop(index))

    def check_status(self, verb: str) -> None:
        """Conflict where locations cannot be changed so, as the image is now."""
        good = (ImageStatus.ACTIVE,) if verb == "remove" else (ImageStatus.ACTIVE, ImageStatus.QUEUED)
        if self._image.status not in good:
            raise Conflict(f"It's not allowed to {verb} locations if image status is {self._image.status}.")

    def _new(self, said: Mapping[str, Any], among: list[Location]) -> Location:
        place = self._places.get(said["url"])
        known = next((each for each in self.before if self._url(each) == said["url"]), None)
        if place is not None:
            store, key = place.store.id, place.key
        elif known is not None:
            store, key = known.store, known.key
        else:
            raise Invalid("Invalid location")
        made = Location(self._image.id, len(among), store, key, _metadata(said))
        if any((each.store, each.key, each.metadata) == (made.store, made.key, made.metadata) for each in among):
            raise Invalid(f"The location {said['url']} already exists")
        return made

    def _fill(self, said: Mapping[str, Any]) -> None:
        """An image that had no data has them now."""
        place = self._places.get(said["url"])
        if self._image.size is None and place is not None:
            self.fields.setdefault("size", place.size)
        if self._image.status == ImageStatus.QUEUED:
            self.fields["status"] = ImageStatus.ACTIVE

    def _take_sums(self, said: list[Mapping[str, Any]]) -> None:
        wanted: dict[str, str] = {}
        for each in said:
            for name, value in each.get("validation_data", {}).items():
                if wanted.setdefault(name, value) != value:
                    raise Conflict(f"Conflicting values for {name}")
        new = {}
        for name in _SUMS:
            current = self.fields.get(name, getattr(self._image, name))
            if name in wanted and wanted[name] != current:
                if current:
                    raise Conflict(f"{name} is already set with a different value")
                new[name] = wanted[name]
        if new:
            self._check_sums(new)
        self.fields.update(new)

    def _check_sums(self, new: dict[str, str]) -> None:
        if self._image.status != ImageStatus.QUEUED:
            named = ", ".join(new)
            raise Conflict(f"New value(s) for {named} may only be provided when image status is 'queued'")
        if "os_hash_algo" in new and new["os_hash_algo"] != HASH_ALGORITHM:
            raise Conflict(f"os_hash_algo must be {HASH_ALGORITHM}, not {new['os_hash_algo']}")
        for name, digits in _DIGITS.items():
            if name in new and not is_hexadecimal(new[name]):
                raise Conflict(f"{name} ({new[name]}) is not a valid hexadecimal value")
            if name in new and len(new[name]) != digits:
                kind = "md5" if name == "checksum" else HASH_ALGORITHM
                raise Conflict(
                    f"{name} ({new[name]}) is not the correct size for {kind} (should be {digits // 2} bytes)"
                )

    def _url(self, found: Location) -> str:
        return locations.url(self._cloud, found)


def is_hexadecimal(text: str) -> bool:
    """Whether these are bytes, two hexadecimal digits each."""
    try:
        bytes.fromhex(text)
    except ValueError:
        return False
    return text.isalnum()


def _metadata(said: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in said["metadata"].items() if name != "store"}
    if not all(isinstance(value, (str, list, dict)) for value in found.values()):
        raise Invalid("Invalid location")
    return found


def _index(position: str, count: int, *, beyond: bool) -> int | None:
    """The index that a JSON pointer's last part means among `count` things, or behind them."""
    if position == "-":
        return count if beyond else count - 1
    if not (position.isascii() and position.isdigit()) or len(position) > 9:
        return None
    index = int(position)
    return min(index, count) if beyond else index if index < count else None
