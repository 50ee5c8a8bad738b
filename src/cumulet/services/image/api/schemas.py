# SPDX-License-Identifier: Apache-2.0
"""`/v2/schemas`: what an image, a member and a task look like; the image's is also what requests are held against."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.http import ANYONE, Reply, Request, Route
from cumulet.kernel.schema import Phrase, Schema
from cumulet.services.image.types import CONTAINER_FORMATS, DISK_FORMATS
from cumulet.settings.image import ImageFormat

Document = dict[str, Any]

LOG = logging.getLogger(__name__)

_UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"


def _text(says: str, **more: Any) -> Document:
    return {"type": "string", "description": says, **more}


def _text_or_null(says: str, **more: Any) -> Document:
    return {"type": ["null", "string"], "description": says, **more}


def _number_or_null(says: str) -> Document:
    return {"type": ["null", "integer"], "readOnly": True, "description": says}


def _read_only(says: str, **more: Any) -> Document:
    return {"type": "string", "readOnly": True, "description": says, **more}


_VALIDATION = {
    "type": "object",
    "writeOnly": True,
    "description": "Sums that the data at this place have",
    "additionalProperties": False,
    "properties": {
        "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
        "os_hash_algo": {"type": "string", "maxLength": 64},
        "os_hash_value": {"type": "string", "maxLength": 128},
    },
    "required": ["os_hash_algo", "os_hash_value"],
}
_LOCATION = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "maxLength": 255},
        "metadata": {"type": "object"},
        "validation_data": _VALIDATION,
    },
    "required": ["url", "metadata"],
}
_STATES = [
    *("queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated"),
]

IMAGE_PROPERTIES: dict[str, Document] = {
    "id": _text("The image's id", pattern=_UUID),
    "name": _text_or_null("The image's name", maxLength=255),
    "status": _read_only("What can be done with the image now", enum=_STATES),
    "visibility": _text("Who can see the image", enum=["community", "public", "private", "shared"]),
    "protected": {"type": "boolean", "description": "Whether the image is kept from being deleted"},
    "os_hidden": {"type": "boolean", "description": "Whether lists leave the image out unless they ask for it"},
    "checksum": _text_or_null("MD5 of the data", readOnly=True, maxLength=32),
    "os_hash_algo": _text_or_null("How os_hash_value is made", readOnly=True, maxLength=64),
    "os_hash_value": _text_or_null("Secure hash of the data, in hexadecimal digits", readOnly=True, maxLength=128),
    "owner": _text_or_null("The project that the image belongs to", maxLength=255),
    "size": _number_or_null("Bytes of data"),
    "virtual_size": _number_or_null("Bytes that a guest sees"),
    "container_format": _text_or_null("What the disk is wrapped in", enum=[None, *CONTAINER_FORMATS]),
    "disk_format": _text_or_null("The format of the disk", enum=[None, *DISK_FORMATS]),
    "created_at": _read_only("When the image was made"),
    "updated_at": _read_only("When the image was last changed"),
    "tags": {"type": "array", "description": "The image's tags", "items": {"type": "string", "maxLength": 255}},
    "direct_url": _read_only("Where a store keeps the data"),
    "min_ram": {"type": "integer", "description": "MiB of memory that a server needs"},
    "min_disk": {"type": "integer", "description": "GiB of disk that a server needs"},
    "self": _read_only("The image's address"),
    "file": _read_only("The address of its data"),
    "stores": _read_only("The stores that hold the data"),
    "schema": _read_only("The address of this schema"),
    "locations": {"type": "array", "items": _LOCATION, "description": "Where stores keep the data"},
}
_MEMBER_PROPERTIES: dict[str, Document] = {
    "member_id": _text("The project with which the image is shared"),
    "image_id": _text("The image's id", pattern=_UUID),
    "created_at": _text("When the sharing began"),
    "updated_at": _text("When it last changed"),
    "status": _text("What the member said to it", enum=["pending", "accepted", "rejected"]),
    "schema": {"readOnly": True, "type": "string"},
}
_TASK_PROPERTIES: dict[str, Document] = {
    "id": _text("The task's id", pattern=_UUID),
    "type": _text("What the task does", enum=["import", "api_image_import", "location_import"]),
    "status": _text("How far it is", enum=["pending", "processing", "success", "failure"]),
    "input": {"type": ["null", "object"], "description": "What it was given"},
    "result": {"type": ["null", "object"], "description": "What came of it"},
    "owner": _text("The project that it belongs to"),
    "message": _text("Why it failed"),
    "image_id": _text("The image that it works on"),
    "request_id": _text("The request that began it"),
    "user_id": _text("The user who began it"),
    "expires_at": {"type": ["null", "string"], "description": "When it will be forgotten"},
    "created_at": _text("When it began"),
    "updated_at": _text("When it last changed"),
    "self": {"readOnly": True, "type": "string"},
    "schema": {"readOnly": True, "type": "string"},
}
_LINKS = [
    {"rel": "self", "href": "{self}"},
    {"rel": "enclosure", "href": "{file}"},
    {"rel": "describedby", "href": "{schema}"},
]
_PAGE_LINKS = [
    {"rel": "first", "href": "{first}"},
    {"rel": "next", "href": "{next}"},
    {"rel": "describedby", "href": "{schema}"},
]


def _images(image: Document) -> Document:
    links = {each: {"type": "string"} for each in ("first", "next", "schema")}
    return {
        "name": "images",
        "properties": {"images": {"type": "array", "items": image}, **links},
        "links": _PAGE_LINKS,
    }


def _collection(name: str, item: Document) -> Document:
    return {
        "name": name,
        "properties": {name: {"type": "array", "items": item}, "schema": {"type": "string"}},
        "links": [{"rel": "describedby", "href": "{schema}"}],
    }


_MEMBER = {"name": "member", "properties": _MEMBER_PROPERTIES}
_TASK = {"name": "task", "properties": _TASK_PROPERTIES}
_STUB_PROPERTIES = {
    name: rules for name, rules in _TASK_PROPERTIES.items() if name not in ("input", "message", "result")
}
DOCUMENTS: Mapping[str, Document] = {
    "member": _MEMBER,
    "members": _collection("members", _MEMBER),
    "task": _TASK,
    "tasks": _collection("tasks", {"name": "task", "properties": _STUB_PROPERTIES}),
}


class ImageSchema:
    """The schema of images: the built-in properties, and those that the operator's file names beside them.

    The file is JSON: properties by their names, or `{"properties": ..., "required": [...]}`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded = False
        self._formats: dict[str, list[str | None]] = {}
        self._read({}, [])

    def load(self, path: str, formats: ImageFormat) -> None:
        """Take over the formats and the file, at the first call; a file that cannot be used is told in the log."""
        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            self._formats = {
                "container_format": [None, *formats.container_formats],
                "disk_format": [None, *formats.disk_formats],
            }
            self._read({}, [])
            if not path:
                return
            try:
                said = json.loads(Path(path).read_text(encoding="utf-8"))
                own = said.get("properties") if isinstance(said.get("properties"), dict) else None
                properties, required = (own, said.get("required") or []) if own is not None else (said, [])
                taken = [name for name in properties if name in IMAGE_PROPERTIES]
                if taken:
                    raise ValueError(f"{', '.join(taken)}: these are built in")
                self._read({name: {**rules, "is_base": False} for name, rules in properties.items()}, required)
            except (OSError, ValueError, TypeError, AttributeError) as error:
                LOG.error("the schema of images in %s is not used: %s", path, error)
                self._read({}, [])

    def _read(self, own: Mapping[str, Document], required: list[str]) -> None:
        properties = {**IMAGE_PROPERTIES, **own}
        for name, allowed in self._formats.items():
            properties[name] = {**properties[name], "enum": allowed}
        free = {"type": "string"}
        needed = {"required": required} if required else {}
        self.document = {
            "name": "image",
            "properties": properties,
            "additionalProperties": free,
            **needed,
            "links": _LINKS,
        }
        judged = {"type": "object", "properties": properties, "additionalProperties": free}
        self.part = _judging({**judged, "properties": {name: _rules(said) for name, said in properties.items()}})
        self.whole = _judging({**self.part.document, **needed})


def _judging(document: Mapping[str, Any]) -> Schema:
    says = Phrase(lambda refusal: f"Provided object does not match schema 'image': {refusal.report}", best=True)
    return Schema(document, phrase=says)


def _rules(said: Document) -> Document:
    return {name: rule for name, rule in said.items() if name != "is_base"}


# An image in the input of a task, which knows the built-in properties alone.
ACCEPTED = ImageSchema().part


def of_images(cloud: Cloud) -> ImageSchema:
    """What images look like in this cloud: `whole` judges a new one, `part` some of its words."""
    found = cloud.keep(ImageSchema)
    found.load(cloud.settings.image_use.schema_image_file, cloud.settings.image_format)
    return found


# A task in a request.
TASK = Schema(
    {"type": "object", "properties": _TASK_PROPERTIES, "additionalProperties": False},
    phrase=Phrase(lambda refusal: f"Provided object does not match schema 'task': {refusal.report}", best=True),
)


def _show(name: str) -> Callable[[Request], Reply]:
    return lambda request: Reply(200, DOCUMENTS[name])


def _image(request: Request) -> Reply:
    return Reply(200, of_images(request.cloud).document)


def _list_of_images(request: Request) -> Reply:
    return Reply(200, _images(of_images(request.cloud).document))


ROUTES = (
    Route("GET", "/schemas/image", _image, ANYONE),
    Route("GET", "/schemas/images", _list_of_images, ANYONE),
    *(Route("GET", f"/schemas/{name}", _show(name), ANYONE) for name in DOCUMENTS),
)
