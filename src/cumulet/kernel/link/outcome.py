# SPDX-License-Identifier: Apache-2.0
"""How the failure of a call crosses a link: by name and message, never by traceback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import errors

INTERNAL = "Internal"


class CallTimeout(errors.NotReady):
    """The other side did not answer in time; it may have done the work, or may yet do it."""


class RemoteFailure(Exception):
    """The other side met a bug; its own log holds the cause."""


Kinds = Mapping[str, type[errors.CumuletError]]
KINDS: Kinds = {
    kind.__name__: kind
    for kind in (*errors.CumuletError.__subclasses__(), CallTimeout)
    if kind.__module__ in (errors.__name__, __name__)
}


def to_wire(error: BaseException, verb: str, kinds: Kinds = KINDS) -> dict[str, Any]:
    """The body of an error frame; `kinds` are those that both sides know."""
    kind = next((kind for kind in type(error).__mro__ if kind in kinds.values()), None)
    if kind is not None and isinstance(error, errors.CumuletError):
        body = {"class": kind.__name__, "message": error.message, "code": error.code}
        plain = {name: value for name, value in error.fields.items() if _is_plain(value)}
        return {**body, "fields": plain} if plain else body
    return {"class": INTERNAL, "message": f"{verb} failed for a reason that stands in the log of this part", "code": ""}


def from_wire(body: Any, kinds: Kinds = KINDS) -> Exception:
    """The exception that an error frame stands for."""
    if not isinstance(body, dict):
        return RemoteFailure("an error without words")
    message, code = str(body.get("message", "")), str(body.get("code", ""))
    kind = kinds.get(str(body.get("class")))
    if kind is None:
        return RemoteFailure(message)
    fields = body.get("fields")
    return kind(message, code=code, **(fields if isinstance(fields, dict) else {}))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
