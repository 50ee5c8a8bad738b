# SPDX-License-Identifier: Apache-2.0
"""What is told of a request that did many things, in the form that the caller likes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.logic import media

Trouble = tuple[str, str]  # a name with percent signs, and what was wrong with it


def form_of(accept: str, other: str = media.PLAIN, offered: Sequence[str] = media.OFFERED) -> str:
    """The one of those that are offered that the caller likes best; `other` where it takes none of them."""
    try:
        return media.best_of(accept, offered) or other
    except Invalid:
        return other


def report(form: str, said: Mapping[str, Any], troubles: Sequence[Trouble], root: str) -> bytes:
    """`root` is the element around all in XML."""
    if form == media.JSON:
        return json.dumps({**said, "Errors": [list(each) for each in troubles]}).encode()
    if form.endswith("/xml"):
        return _xml(said, troubles, root).encode()
    lines = [f"{key}: {said[key]}" for key in sorted(said)]
    lines += ["Errors:", *(f"{name}, {why}" for name, why in troubles)]
    return "".join(f"{line}\n" for line in lines).encode()


def _xml(said: Mapping[str, Any], troubles: Sequence[Trouble], root: str) -> str:
    lines = [f"<{root}>"]
    for key in sorted(said):
        tag = key.replace(" ", "_").lower()
        lines.append(f"<{tag}>{escape(str(said[key]))}</{tag}>")
    lines.append("<errors>")
    for name, why in troubles:
        lines.append(f"<object><name>{escape(name)}</name><status>{escape(why)}</status></object>")
    lines += ["</errors>", f"</{root}>"]
    return "".join(f"{line}\n" for line in lines)
