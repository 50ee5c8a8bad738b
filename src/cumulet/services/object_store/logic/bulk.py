# SPDX-License-Identifier: Apache-2.0
"""Many things that one request does: what came of them, in the form that the client wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import orjson

from cumulet.services.object_store.logic import media

Failed = tuple[str, str]
"""A name with percent signs, and the status that it got."""


def report(form: str | None, told: Mapping[str, Any], failed: Sequence[Failed], tag: str) -> bytes:
    """`form` is a media type, None for one that the client did not name well; `tag` is the root of XML."""
    if form == media.JSON:
        return orjson.dumps({**told, "Errors": failed})
    if form in (media.XML, media.TEXT_XML):
        parts = [f"<{_name(key)}>{escape(str(told[key]))}</{_name(key)}>\n" for key in sorted(told)]
        errors = [
            f"<object><name>{escape(name)}</name><status>{escape(status)}</status></object>\n"
            for name, status in failed
        ]
        return "".join((f"<{tag}>\n", *parts, "<errors>\n", *errors, f"</errors>\n</{tag}>\n")).encode()
    lines = [f"{key}: {told[key]}\n" for key in sorted(told)]
    return "".join((*lines, "Errors:\n", *(f"{name}, {status}\n" for name, status in failed))).encode()


def header_of(attribute: str) -> str | None:
    """The header, as text, that an extended attribute of a file in an archive becomes; None for one that is not kept.

    `SCHILY.xattr.` is what GNU's tar writes before it, `LIBARCHIVE.xattr.` what BSD's does.
    """
    for prefix in ("SCHILY.xattr.user.", "LIBARCHIVE.xattr.user."):
        if attribute.startswith(prefix):
            name = attribute.removeprefix(prefix)
            if name == "mime_type":
                return "content-type"
            if name.startswith("meta."):
                return f"x-object-meta-{name.removeprefix('meta.')}".lower()
    return None


def _name(key: str) -> str:
    return key.replace(" ", "_").lower()
