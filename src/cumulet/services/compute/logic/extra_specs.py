# SPDX-License-Identifier: Apache-2.0
"""Which extra specs flavors may have: names and values against what OpenStack knows (`extra_specs.toml`)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Invalid
from cumulet.services.placement.contract import PlacementContract

MAX_LENGTH = 255
_WORDS = Path(__file__).with_name("extra_specs.toml")
_NAMESPACES = frozenset({
    "accel", "aggregate_instance_extra_specs", "capabilities", "hw", "hw_rng", "hw_video", "os", "pci_passthrough",
    "quota", "vmware",
})  # fmt: skip
# Traits and amounts may be numbered or named groups: `trait1:...`, `resources_GPU:...`.
_GROUPED = re.compile(r"(trait|resources)(?:[a-zA-Z0-9_-]{1,64})?")
_CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]+")
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})
_WISHES = ("required", "forbidden")

Check = Callable[[str], None]


def check(cloud: Cloud, specs: Mapping[str, str]) -> None:
    """Raise Invalid, in OpenStack's words, for the first name or value that cannot be.

    Names without a namespace, and those of namespaces that nobody knows, are everybody's own and may say anything.
    """
    for name, value in specs.items():
        found = _of_name(name) or _of_group(cloud, name)
        if found is not None:
            found(value)
        elif _is_reserved(name):
            raise _refused(f"extra spec '{name}' does not appear to be a valid extra spec.")


def is_true(value: str) -> bool:
    """What a spec of the kind yes or no means; anything unknown is no."""
    return value.strip().lower() in _TRUE


def _of_name(name: str) -> Check | None:
    plain, patterns = _checks()
    if name in plain:
        return plain[name]
    return next((check for pattern, check in patterns if pattern.fullmatch(name)), None)


def _of_group(cloud: Cloud, name: str) -> Check | None:
    group, _, word = name.partition(":")
    kind = _GROUPED.fullmatch(group)
    if kind is None:
        return None
    placement = cloud.contracts.use(PlacementContract)
    if kind[1] == "trait":
        known = _CUSTOM.fullmatch(word) or placement.is_standard_trait(word)
        return partial(_check_choice, _WISHES) if known else None
    known = _CUSTOM.fullmatch(word) or placement.is_standard_class(word)
    return partial(_check_integer, {}) if known else None


def _is_reserved(name: str) -> bool:
    namespace, colon, _ = name.partition(":")
    return bool(colon) and (namespace in _NAMESPACES or _GROUPED.fullmatch(namespace) is not None)


@cache
def _checks() -> tuple[dict[str, Check], list[tuple[re.Pattern[str], Check]]]:
    """The checks by name, and those whose names are patterns."""
    words = tomllib.loads(_WORDS.read_text(encoding="utf-8"))
    checks: dict[str, Check] = dict.fromkeys(words["boolean"], _check_boolean)
    checks |= dict.fromkeys(words["text"], _check_nothing)
    checks |= {name: partial(_check_integer, bounds) for name, bounds in words["integer"].items()}
    checks |= {name: partial(_check_choice, tuple(values)) for name, values in words["choice"].items()}
    for name, (shown, quick) in words["pattern"].items():
        checks[name] = partial(_check_pattern, shown, re.compile(quick))
    plain = {name: check for name, check in checks.items() if re.fullmatch(r"[\w:.-]+", name)}
    return plain, [(re.compile(name), check) for name, check in checks.items() if name not in plain]


def _check_nothing(_value: str) -> None:
    """Any text will do."""


def _check_boolean(value: str) -> None:
    if value.strip().lower() not in _TRUE | _FALSE:
        raise _refused(f"'{value}' is not a valid boolean-like value.")


def _check_integer(bounds: Mapping[str, int], value: str) -> None:
    try:
        number = int(value)
    except ValueError:
        raise _refused(f"'{value}' is not a valid integer value.") from None
    if "max" in bounds and number > bounds["max"]:
        raise _refused(f"'{number}' is greater than the max value of '{bounds['max']}'.")
    if "min" in bounds and number < bounds["min"]:
        raise _refused(f"'{number}' is less than the min value of '{bounds['min']}'.")


def _check_choice(values: tuple[str, ...], value: str) -> None:
    if value not in values:
        raise _refused(f"'{value}' is not one of: {', '.join(values)}.")


def _check_pattern(shown: str, quick: re.Pattern[str], value: str) -> None:
    if not quick.fullmatch(value):
        raise _refused(f"'{value}' is not of the format '{shown}'.")


def _refused(words: str) -> Invalid:
    return Invalid(f"Validation failed; {words}", code="ValidationError")
