# SPDX-License-Identifier: Apache-2.0
"""The small languages in query parameters: amounts of classes, traits and aggregates, wanted or not."""

from __future__ import annotations

from cumulet.kernel import ids
from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Request
from cumulet.services.placement.api.views import usual

_BAD = "Invalid query string parameters: "
# Sets of which one each is required, and what is forbidden.
Wanted = tuple[list[frozenset[str]], frozenset[str]]


def values(request: Request, name: str) -> list[str]:
    """All values of a parameter, in order."""
    return [value for given, value in request.query_pairs if given == name]


def resources(text: str) -> dict[str, int]:
    """`VCPU:2,MEMORY_MB:1024`"""
    form = "Expected resources query string parameter in form: ?resources=VCPU:2,MEMORY_MB:1024. Got: "
    if not text.strip():
        raise Invalid(f"Badly formed resources parameter. {form}empty string.")
    found = {}
    for part in text.split(","):
        name, colon, number = part.partition(":")
        if not colon or ":" in number:
            raise Invalid(f"Badly formed resources parameter. {form}{part}.")
        try:
            amount = int(number)
        except ValueError:
            raise Invalid(f"Requested resource {name} expected positive integer amount. Got: {number}.") from None
        if amount < 1:
            raise Invalid(f"Requested resource {name} requires amount >= 1. Got: {amount}.")
        found[name] = amount
    return found


def traits(request: Request, suffix: str = "") -> Wanted:
    """The `required` parameters: `A,!B` (all, and not) and, from 1.39 on, `in:A,B` (one of), which may be repeated."""
    given = values(request, f"required{suffix}")
    if request.version < (1, 39):
        given = given[-1:]
    required: list[frozenset[str]] = []
    forbidden: frozenset[str] = frozenset()
    for text in given:
        if text.startswith("in:"):
            required.append(_any_of(request, text))
        else:
            wanted, unwanted = all_of(text, may_forbid=request.version >= (1, 22))
            required.extend(frozenset({name}) for name in wanted)
            forbidden |= unwanted
    return required, forbidden


def all_of(text: str, *, may_forbid: bool) -> tuple[list[str], frozenset[str]]:
    """`A,!B`: the traits required, and those forbidden."""
    names = [name.strip() for name in text.split(",")]
    forbidden = frozenset(name.lstrip("!") for name in names if name.startswith("!"))
    form = "HW_CPU_X86_VMX,!CUSTOM_MAGIC" if may_forbid else "HW_CPU_X86_VMX,CUSTOM_MAGIC"
    if not all(names) or not all(forbidden):
        raise Invalid(f"{_BAD}Expected 'required' parameter value of the form: {form}. Got an empty trait in: {text}")
    if forbidden and not may_forbid:
        raise Invalid(f"{_BAD}Expected 'required' parameter value of the form: {form}. Got: {text}")
    return [name for name in names if not name.startswith("!")], forbidden


def aggregates(request: Request, suffix: str = "") -> Wanted:
    """The `member_of` parameters: `uuid`, `in:uuid,uuid` (one of) and, from 1.32 on, either with `!` (none of)."""
    given = values(request, f"member_of{suffix}")
    if len(given) > 1 and request.version < (1, 24):
        raise Invalid(f"Multiple member_of{suffix} parameters are not supported")
    required: list[frozenset[str]] = []
    forbidden: frozenset[str] = frozenset()
    for text in given:
        uuids = _aggregates(text)
        if not text.startswith("!"):
            required.append(uuids)
        elif request.version < (1, 32):
            raise Invalid(f"Forbidden member_of{suffix} parameters are not supported in the specified microversion")
        else:
            forbidden |= uuids
    return required, forbidden


def _any_of(request: Request, text: str) -> frozenset[str]:
    form = "in:HW_CPU_X86_VMX,CUSTOM_MAGIC"
    if request.version < (1, 39):
        raise Invalid(f"{_BAD}The format '{form}' only supported since microversion 1.39. Got: {text}")
    names = frozenset(name.strip() for name in text[3:].split(","))
    if not all(names):
        raise Invalid(f"{_BAD}Expected 'required' parameter value of the form: {form}. Got an empty trait in: {text}")
    if any(name.startswith("!") for name in names):
        raise Invalid(f"{_BAD}The format '{form}' does not support forbidden traits. Got: {text}")
    return names


def _aggregates(text: str) -> frozenset[str]:
    body = text.removeprefix("!")
    is_list = body.startswith("in:")
    if "," in body and not is_list:
        raise Invalid(
            "Multiple values for 'member_of' must be prefixed with the 'in:' or '!in:' keyword using the valid "
            f"microversion. Got: {text}"
        )
    uuids = frozenset(body[3:].split(",") if is_list else [body])
    for uuid in sorted(uuids):
        if not ids.is_uuid(uuid):
            raise Invalid(f"{_BAD}Expected 'member_of' parameter to contain valid UUID(s). Got: {uuid}")
    return frozenset(usual(uuids))
