# SPDX-License-Identifier: Apache-2.0
"""S3's documents: how they are read, without anything that they may refer to, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from cumulet.services.object_store.s3.errors import S3Error

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'

# What XML 1.0 has no way to say is said as S3 says it: clients that cannot read it ask for `encoding-type=url`.
_REFERENCES = {chr(code): f"&#x{code:x};" for code in (*range(9), 11, 12, 13, *range(14, 32), 0xFFFE, 0xFFFF)}
_BROKEN = dict.fromkeys(range(55296, 57344), "�")


class Node:
    """An element that was read. What entities stand for is not in its text."""

    __slots__ = ("_element", "tag")

    def __init__(self, element: Any) -> None:
        self._element = element
        self.tag = _local(element.tag)

    @property
    def text(self) -> str:
        return str(self._element.text or "")

    def attribute(self, name: str) -> str:
        """Of the schema of instances: `type` is `xsi:type`."""
        return str(self._element.get(f"{{{SCHEMA_INSTANCE}}}{name}", ""))

    def __iter__(self) -> Iterator[Node]:
        """Elements in it; neither comments nor instructions nor entities."""
        return (Node(each) for each in self._element if isinstance(each.tag, str))

    def all(self, tag: str) -> list[Node]:
        return [each for each in self if each.tag == tag]

    def one(self, tag: str) -> Node | None:
        """The only one of this name, if there is one; MalformedXML for several."""
        found = self.all(tag)
        if len(found) > 1:
            raise S3Error("MalformedXML")
        return found[0] if found else None

    def word(self, tag: str) -> str:
        """The text of the only one of this name; MalformedXML without it."""
        found = self.one(tag)
        if found is None:
            raise S3Error("MalformedXML")
        return found.text

    def only(self, *tags: str) -> None:
        """MalformedXML for anything in it but these."""
        if any(each.tag not in tags for each in self):
            raise S3Error("MalformedXML")


def parse(data: bytes, root: str) -> Node:
    """The document, whose outermost element is `root`; MalformedXML for what is none.

    Entities are not resolved, nothing else is read, and what is nested or long beyond all measure is refused.
    """
    from lxml import etree  # its import costs more than a request

    try:
        # Clients put a line before the declaration of types, never one before that of XML.
        found = Node(etree.fromstring(data.lstrip(), _parser()))
    except (etree.LxmlError, ValueError):
        raise S3Error("MalformedXML") from None
    if root and found.tag != root:
        raise S3Error("MalformedXML")
    return found


@cache
def _parser() -> Any:
    from lxml import etree

    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def element(tag: str, *inside: str, **attributes: str) -> str:
    """`inside` are elements."""
    said = "".join(f' {name.replace("__", ":")}="{text(value)}"' for name, value in attributes.items())
    return f"<{tag}{said}>{''.join(inside)}</{tag}>"


def leaf(tag: str, value: str | int | None) -> str:
    """An element with this text."""
    return f"<{tag}>{text('' if value is None else str(value))}</{tag}>"


def text(value: str) -> str:
    return escape(value, {'"': "&quot;", **_REFERENCES}).translate(_BROKEN)


def document(root: str, parts: Iterable[str], *, namespace: str = NAMESPACE) -> bytes:
    """A whole document, as UTF-8."""
    opened = f'<{root} xmlns="{namespace}">' if namespace else f"<{root}>"
    return HEAD + f"{opened}{''.join(parts)}</{root}>".encode()


def refusal(error: S3Error, request_id: str, *, head: bool = True) -> bytes:
    """What a client is told of an error."""
    parts = [leaf("Code", error.code), leaf("Message", error.message)]
    if request_id:
        parts.append(leaf("RequestId", request_id))
    parts += [leaf(tag, value) for tag, value in error.extra.items()]
    found = document("Error", parts, namespace="")
    return found if head else found.removeprefix(HEAD)
