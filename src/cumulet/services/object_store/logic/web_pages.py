# SPDX-License-Identifier: Apache-2.0
"""Pages that are made for containers that are web sites: lists of what is there, and that there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import msgspec

_PLAIN = (
    "h1 {font-size: 1em; font-weight: bold;}",
    "th {text-align: left; padding: 0px 1em 0px 1em;}",
    "td {padding: 0px 1em 0px 1em;}",
    "a {text-decoration: none;}",
)


class Style(msgspec.Struct, frozen=True):
    """How a list looks. `css` is where its style is, "" for the plain one; `label` stands for the path's beginning."""

    css: str = ""
    label: str = ""


class Links(msgspec.Struct, frozen=True):
    """What links carry: a query (of HTML), and the beginning of names beyond which they do not lead."""

    query: str = ""
    prefix: str = ""


def title(style: Style, path: str) -> str:
    """What a list is called; `path` begins with version, account and container."""
    return f"{style.label}/{'/'.join(path.split('/')[4:])}" if style.label else path


def listing(style: Style, path: str, prefix: str, entries: Sequence[Mapping[str, Any]], links: Links) -> str:
    """What lies below `prefix`; entries are those of a listing in JSON."""
    rows = []
    if len(prefix) > len(links.prefix):
        rows.append(_row("item", "../", "../", links, row_id="parent"))
    for each in entries:
        if "subdir" in each:
            name = each["subdir"].removeprefix(prefix)
            rows.append(_row("item subdir", _link(name), name, links))
    for each in entries:
        if "name" in each:
            name = each["name"].removeprefix(prefix)
            kinds = " ".join(f"type-{escape(word.lower())}" for word in each["content_type"].split("/"))
            when = each["last_modified"].partition(".")[0].replace("T", " ")
            rows.append(_row(f"item {kinds}", _link(name), name, links, size=human(each["bytes"]), when=when))
    label = escape(title(style, path))
    head = (
        f'  <h1 id="title">Listing of {label}</h1>',
        '  <table id="listing">',
        '   <tr id="heading">',
        *(f'    <th class="col{each.lower()}">{each}</th>' for each in ("Name", "Size", "Date")),
        "   </tr>",
    )
    return _page(style, prefix, label, (*head, *rows, "  </table>"))


def disabled(style: Style, path: str, prefix: str, index: str) -> str:
    """There is no list, and the `index` that was looked for is not there."""
    body = [
        "  <h1>Web Listing Disabled</h1>",
        "  <p>The owner of this site shows no lists. An owner can have them by X-Container-Meta-Web-Listings.</p>",
    ]
    if index:
        body.append("  <h1>Index File Not Found</h1>")
        body.append(f"  <p>X-Container-Meta-Web-Index is <b>{escape(index)}</b>, and there is no such file.</p>")
    return _page(style, prefix, escape(title(style, path)), body)


def human(size: int) -> str:
    """Bytes in few digits: 1536 is 2Ki."""
    value, index, suffixes = float(size), -1, "KMGTPEZY"
    while value >= 1024 and index + 1 < len(suffixes):
        index, value = index + 1, round(value / 1024)
    return f"{int(value)}" if index < 0 else f"{int(value)}{suffixes[index]}i"


def _row(kind: str, link: str, name: str, links: Links, *, size: str = "", when: str = "", row_id: str = "") -> str:
    named = f'id="{row_id}" ' if row_id else ""
    return (
        f'   <tr {named}class="{kind}">\n'
        f'    <td class="colname"><a href="{link}{links.query}">{escape(name)}</a></td>\n'
        f'    <td class="colsize">{size or "&nbsp;"}</td>\n'
        f'    <td class="coldate">{escape(when) or "&nbsp;"}</td>\n'
        "   </tr>"
    )


def _link(name: str) -> str:
    return "./" + quote(name).replace(".", "%2E")


def _page(style: Style, prefix: str, label: str, body: Iterable[str]) -> str:
    if style.css:
        where = quote(style.css, ":/") if style.css.startswith(("/", "http://", "https://")) else None
        where = where if where is not None else "../" * prefix.count("/") + quote(style.css)
        look = [f'  <link rel="stylesheet" type="text/css" href="{where}" />']
    else:
        look = ['  <style type="text/css">', *(f"   {each}" for each in _PLAIN), "  </style>"]
    lines = (
        "<!DOCTYPE html>",
        "<html>",
        " <head>",
        f"  <title>Listing of {label}</title>",
        *look,
        " </head>",
        " <body>",
    )
    return "\n".join((*lines, *body, " </body>", "</html>", ""))
