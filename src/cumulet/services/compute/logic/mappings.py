# SPDX-License-Identifier: Apache-2.0
"""Block device mappings: what a request, an image and a flavor say of a new server's disks, made one list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.types import FILESYSTEMS

ROOT = 0
SWAP = "swap"
ROOT_NAME = "/dev/vda"
MOST_LOCAL = 3  # Nova's max_local_block_devices
BUSES = ("fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml")
SOURCES = ("volume", "image", "snapshot", "blank")
_EPHEMERAL = re.compile(r"ephemeral(?:\d|[1-9]\d+)")
# The words of an image that describe disks; they are no part of the system in it.
WORDS = ("block_device_mapping", "bdm_v2", "root_device_name", "mappings")


class DeviceRequest(msgspec.Struct, kw_only=True):
    """One disk: `source_type` volume, image, snapshot or blank; `destination_type` local or volume.

    `volume_size` is in GiB, of swap disks in MiB. `boot_index` 0 is the root disk, none or a negative one of no use
    for booting. `source_id` is the volume's, image's or snapshot's. `no_device` takes away what an image has there.
    """

    source_type: str
    destination_type: str
    source_id: str | None = None
    boot_index: int | None = None
    device_name: str = ""
    volume_size: int | None = None
    volume_type: str | None = None
    delete_on_termination: bool = False
    guest_format: str | None = None
    disk_bus: str | None = None
    device_type: str | None = None
    tag: str | None = None
    no_device: bool = False

    @property
    def is_volume(self) -> bool:
        return self.destination_type == "volume"

    @property
    def is_swap(self) -> bool:
        return self._is_blank and self.guest_format == SWAP

    @property
    def is_ephemeral(self) -> bool:
        return self._is_blank and self.guest_format != SWAP

    @property
    def is_image_root(self) -> bool:
        return self.source_type == "image" and self.boot_index == ROOT

    @property
    def _is_blank(self) -> bool:
        return self.source_type == "blank" and self.destination_type == "local"


def invalid(words: str = "", code: str = "InvalidBDM") -> Invalid:
    """The refusal of a mapping in Nova's words."""
    said = f"Block Device Mapping is Invalid: {words}" if words else "Block Device Mapping is Invalid."
    return Invalid(said, code=code)


def path(name: str | None) -> str:
    """A device's name with its folder, "" for none; Invalid for what cannot be one."""
    if not name:
        return ""
    if len(name) > 255:
        raise invalid("Device name empty or too long.", "InvalidBDMFormat")
    if " " in name:
        raise invalid("Device name contains spaces.", "InvalidBDMFormat")
    return name if name.startswith("/dev/") else f"/dev/{name}"


def local_root(image_id: str) -> DeviceRequest:
    """A server's own copy of an image as its root disk."""
    return DeviceRequest(
        source_type="image",
        destination_type="local",
        source_id=image_id,
        boot_index=ROOT,
        delete_on_termination=True,
        device_type="disk",
    )


def merge(
    asked: list[DeviceRequest],
    of_image: list[DeviceRequest],
    *,
    legacy: bool,
    image_id: str,
    root_name: str,
) -> list[DeviceRequest]:
    """The disks of a request with those of the image that it boots from, as Nova merges them.

    A root disk that the image brings takes the place of a copy of the image. Of two disks with one device name the
    request's is taken. `legacy` says that the request has the first syntax, or none at all: then its root disk is the
    one called `root_name`, or a copy of the image `image_id`.
    """
    _check_root_name(asked, image_id, root_name, legacy=legacy)
    has_root = any(each.boot_index == ROOT for each in of_image)
    if legacy:
        asked = first_syntax(asked, image_id, root_name, no_root=has_root)
    elif has_root:
        asked = [each for each in asked if not each.is_image_root]
    return [each for each in overridden(of_image, asked) if not each.no_device]


def overridden(first: list[DeviceRequest], second: list[DeviceRequest]) -> list[DeviceRequest]:
    """Both lists; of the first what the second has no device of the same name for."""
    names = {each.device_name for each in second if each.device_name}
    return [*second, *(each for each in first if each.device_name not in names)]


def first_syntax(asked: list[DeviceRequest], image_id: str, root_name: str, *, no_root: bool) -> list[DeviceRequest]:
    """Give the disks of the first syntax their boot indexes, and the image its own disk where none of them is root."""
    found = [
        msgspec.structs.replace(
            each,
            boot_index=ROOT
            if not no_root and each.source_type != "blank" and path(each.device_name) == path(root_name)
            else -1,
        )
        for each in asked
    ]
    if image_id and not no_root and all(each.boot_index != ROOT for each in found):
        return [local_root(image_id), *found]
    return found


def check(requests: list[DeviceRequest], *, ephemeral: int, swap: int, several: bool) -> None:
    """Refuse lists that make no server, without a look at what they name.

    `ephemeral` (GiB) and `swap` (MiB) are what the flavor grants; `several` says that they are for several servers.
    """
    if several and any(each.source_type == "volume" for each in requests):
        raise Invalid("Cannot attach one or more volumes to multiple instances", code="InvalidRequest")
    indexes = sorted(each.boot_index for each in requests if each.boot_index is not None and each.boot_index >= 0)
    if not indexes or indexes != list(range(len(indexes))):
        raise invalid(
            "Boot sequence for the instance and image/block device mapping combination is not valid.",
            "InvalidBDMBootSequence",
        )
    for each in requests:
        _check_one(each)
    _check_locals(requests, ephemeral, swap)


def _check_one(request: DeviceRequest) -> None:
    if request.is_volume and not request.volume_size:
        if request.source_type == "image":
            raise _refused("Images with destination_type 'volume' need to have a non-zero size specified")
        if request.source_type == "blank":
            raise _refused("Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size")
    if not request.is_volume and not request.is_image_root and request.source_type != "blank":
        raise invalid(f"Mapping {request.source_type} to local is not supported.", "InvalidBDMFormat")
    if request.is_ephemeral and request.guest_format and request.guest_format not in FILESYSTEMS:
        raise invalid(f"{request.guest_format} format is not supported", "InvalidBDMFormat")
    if request.disk_bus and request.disk_bus not in BUSES:
        raise invalid(code="InvalidBDMDiskBus")


def _refused(words: str) -> Invalid:
    return Invalid(words, code="InvalidBDM")


def _check_locals(requests: list[DeviceRequest], ephemeral: int, swap: int) -> None:
    if sum(each.volume_size or ephemeral for each in requests if each.is_ephemeral) > ephemeral:
        raise Invalid(
            "Ephemeral disks requested are larger than the instance type allows. If no size is given in one block "
            "device mapping, flavor ephemeral size will be used.",
            code="InvalidBDMEphemeralSize",
        )
    swaps = [each for each in requests if each.is_swap]
    if len(swaps) > 1:
        raise invalid("More than one swap drive requested.", "InvalidBDMFormat")
    if swaps and (swaps[0].volume_size or 0) > swap:
        raise Invalid("Swap drive requested is larger than instance type allows.", code="InvalidBDMSwapSize")
    granted = bool(ephemeral and not any(each.is_ephemeral for each in requests)) + bool(swap and not swaps)
    if sum(not each.is_volume for each in requests) + granted > MOST_LOCAL:
        raise invalid("You specified more local devices than the limit allows", "InvalidBDMLocalsLimit")


def _check_root_name(asked: list[DeviceRequest], image_id: str, root_name: str, *, legacy: bool) -> None:
    if image_id and not legacy and any(each.is_volume and each.device_name == root_name for each in asked):
        name = root_name.removeprefix("/dev/")
        raise Invalid(
            f"The volume cannot be assigned the same device name as the root device {name}", code="InvalidRequest"
        )


def root_name_of(properties: Mapping[str, str]) -> str:
    """What an image calls its root disk."""
    found = ROOT_NAME
    for entry in _list(properties, "mappings"):
        if entry.get("virtual") == "root" and isinstance(entry.get("device"), str):
            found = entry["device"]
    return path(properties.get("root_device_name") or found)


def of_image(properties: Mapping[str, str]) -> list[DeviceRequest]:
    """The disks that an image's words (`block_device_mapping`, `bdm_v2`, `mappings`) ask for.

    Invalid for words that cannot be read.
    """
    entries = _list(properties, "block_device_mapping")
    if properties.get("bdm_v2", "").lower() in ("true", "1", "t", "yes", "y", "on"):
        found = [_of_words(entry) for entry in entries]
    else:
        found = first_syntax([_of_old_words(entry) for entry in entries], "", root_name_of(properties), no_root=False)
    blanks = [_of_virtual(entry) for entry in _list(properties, "mappings") if _is_virtual(entry.get("virtual"))]
    return overridden(blanks, found)


def _list(properties: Mapping[str, str], name: str) -> list[dict[str, Any]]:
    """A list of objects that a word of an image holds as JSON."""
    text = properties.get(name)
    if not text:
        return []
    try:
        found = msgspec.json.decode(text, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise invalid(f"The image's property {name} is no list of mappings.", "InvalidBDMFormat") from error
    return found


def _is_virtual(name: Any) -> bool:
    return isinstance(name, str) and (name == SWAP or _EPHEMERAL.fullmatch(name) is not None)


def _of_virtual(entry: dict[str, Any]) -> DeviceRequest:
    """An empty disk of the flavor's size."""
    return DeviceRequest(
        source_type="blank",
        destination_type="local",
        boot_index=-1,
        device_name=path(_text(entry.get("device"))),
        guest_format=SWAP if entry["virtual"] == SWAP else _text(entry.get("guest_format")),
        device_type="disk",
        delete_on_termination=True,
    )


def _of_words(entry: dict[str, Any]) -> DeviceRequest:
    if entry.get("no_device"):
        return DeviceRequest(
            source_type="blank",
            destination_type="local",
            device_name=path(_text(entry.get("device_name"))),
            no_device=True,
        )
    source = entry.get("source_type")
    if source not in SOURCES:
        raise invalid("Some required fields are missing", "InvalidBDMFormat")
    destination = entry.get("destination_type") or ("local" if source in ("image", "blank") else "volume")
    return DeviceRequest(
        source_type=source,
        destination_type=destination,
        source_id=None if source == "blank" else _needed(entry, f"{source}_id"),
        boot_index=_number(entry.get("boot_index"), "Boot index is invalid."),
        device_name=path(_text(entry.get("device_name"))),
        volume_size=_number(entry.get("volume_size"), "Invalid volume_size."),
        volume_type=_text(entry.get("volume_type")),
        delete_on_termination=_flag(entry.get("delete_on_termination")),
        guest_format=_text(entry.get("guest_format")),
        disk_bus=_text(entry.get("disk_bus")),
        device_type=_text(entry.get("device_type")),
        tag=_text(entry.get("tag")),
    )


def _of_old_words(entry: dict[str, Any]) -> DeviceRequest:
    """An entry of the first syntax, as EC2 had it."""
    virtual = entry.get("virtual_name")
    name = path(_text(entry.get("device_name")))
    if entry.get("no_device"):
        return DeviceRequest(source_type="blank", destination_type="local", device_name=name, no_device=True)
    if _is_virtual(virtual):
        return msgspec.structs.replace(
            _of_virtual({"virtual": virtual, "device": name}),
            volume_size=_number(entry.get("volume_size"), "Invalid volume_size."),
        )
    source = next((kind for kind in ("snapshot", "volume") if entry.get(f"{kind}_id")), None)
    if source is None:
        raise invalid("Unrecognized legacy format.", "InvalidBDMFormat")
    return DeviceRequest(
        source_type=source,
        destination_type="volume",
        source_id=_needed(entry, f"{source}_id"),
        device_name=name,
        volume_size=_number(entry.get("volume_size"), "Invalid volume_size."),
        delete_on_termination=_flag(entry.get("delete_on_termination")),
    )


def _needed(entry: dict[str, Any], name: str) -> str:
    found = entry.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= 64:
        raise invalid("Missing device UUID.", "InvalidBDMFormat")
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value and len(value) <= 255 else None


def _number(value: Any, words: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        found = int(value)
    except (TypeError, ValueError) as error:
        raise invalid(words, "InvalidBDMFormat") from error
    if abs(found) >= 1 << 31:
        raise invalid(words, "InvalidBDMFormat")
    return found


def _flag(value: Any) -> bool:
    return value is True or str(value).lower() in ("true", "1", "t", "yes", "y", "on")


def to_words(request: DeviceRequest) -> dict[str, Any]:
    """A disk as an image's words have it: what `of_image` reads."""
    found: dict[str, Any] = {
        "source_type": request.source_type,
        "destination_type": request.destination_type,
        "boot_index": request.boot_index,
        "device_name": request.device_name or None,
        "volume_size": request.volume_size,
        "volume_type": request.volume_type,
        "delete_on_termination": request.delete_on_termination,
        "guest_format": request.guest_format,
        "disk_bus": request.disk_bus,
        "device_type": request.device_type,
        "tag": request.tag,
        "no_device": None,
    }
    for kind in ("image", "snapshot", "volume"):
        found[f"{kind}_id"] = request.source_id if request.source_type == kind else None
    return found
