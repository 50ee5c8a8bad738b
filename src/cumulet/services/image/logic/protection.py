# SPDX-License-Identifier: Apache-2.0
"""Who may make, read, change and remove which properties of images: Glance's property protections.

The file has a section for each pattern that names of properties are searched for, and in it `create`, `read`, `update`
and `delete`: roles between commas, or one rule of the service's policy, as the setting says; `@` is everybody, `!`
nobody. The first section that fits counts, and what fits none is nobody's.
"""

from __future__ import annotations

import configparser
import logging
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.errors import Forbidden
from cumulet.services.image.logic.access import SERVICE
from cumulet.services.image.types import RESERVED_PREFIX

Action = Literal["create", "read", "update", "delete"]

LOG = logging.getLogger(__name__)

_ACTIONS: tuple[Action, ...] = ("create", "read", "update", "delete")
_EVERYBODY, _NOBODY = "@", "!"
_GLANCE = 0.2  # seconds between two looks at the file


class Section(msgspec.Struct, frozen=True):
    """One section: the pattern, and who may do what."""

    pattern: re.Pattern[str]
    who: dict[Action, frozenset[str]]


class Protection:
    """The file's rules, read again when it has changed; a file that cannot be used leaves the old rules in force.

    Without any old ones nobody may do anything.
    """

    def __init__(self) -> None:
        self._sections: list[Section] = []
        self._stamp: tuple[int, int, int] | None = None
        self._looked = -_GLANCE
        self._lock = threading.Lock()

    def section(self, path: Path, *, by_policy: bool, name: str) -> Section | None:
        """The first section that fits a property's name."""
        with self._lock:
            if time.monotonic() - self._looked >= _GLANCE:
                self._look(path, by_policy=by_policy)
                self._looked = time.monotonic()
            sections = self._sections
        return next((each for each in sections if each.pattern.search(name)), None)

    def _look(self, path: Path, *, by_policy: bool) -> None:
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._sections = read(path.read_text(encoding="utf-8"), by_policy=by_policy)
        except (OSError, ValueError) as error:
            LOG.error("the property protections of %s are not used: %s", path, error)


def read(text: str, *, by_policy: bool) -> list[Section]:
    """The sections of a file; ValueError for one that says something wrong."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(f"it cannot be read: {error}") from None
    return [_section(parser[title], by_policy=by_policy) for title in parser.sections()]


def allows(cloud: Cloud, ctx: Context, action: Action, name: str) -> bool:
    """Whether the caller may do this with properties of this name; without a file, or for the service's own: always."""
    settings = cloud.settings.image_use
    if not settings.property_protection_file or name.startswith(RESERVED_PREFIX):
        return True
    by_policy = settings.property_protection_rule_format == "policies"
    path = Path(settings.property_protection_file)
    section = cloud.keep(Protection).section(path, by_policy=by_policy, name=name)
    who = section.who[action] if section is not None else frozenset({_NOBODY})
    if _NOBODY in who or _EVERYBODY in who:
        return _NOBODY not in who
    if by_policy:
        return any(cloud.allows(SERVICE, rule, ctx, {}) for rule in who)
    return not who.isdisjoint(role.lower() for role in ctx.roles)


def require(cloud: Cloud, ctx: Context, action: Action, names: Iterable[str]) -> None:
    """Forbidden unless the caller may do this with all of the properties."""
    for name in names:
        if not allows(cloud, ctx, action, name):
            raise Forbidden(f"Attribute '{name}' is reserved.")


def readable(cloud: Cloud, ctx: Context, properties: dict[str, str]) -> dict[str, str]:
    """Those of an image's properties that the caller may read."""
    if not cloud.settings.image_use.property_protection_file:
        return properties
    return {name: value for name, value in properties.items() if allows(cloud, ctx, "read", name)}


def _section(said: configparser.SectionProxy, *, by_policy: bool) -> Section:
    who: dict[Action, frozenset[str]] = {}
    for action in _ACTIONS:
        if action not in said:
            raise ValueError(f"[{said.name}] does not say who may {action}")
        names = [name.strip() for name in said[action].split(",") if name.strip()]
        if by_policy and len(names) > 1:
            raise ValueError(f"[{said.name}] {action}: several rules; combine them in the policy")
        if _EVERYBODY in names and _NOBODY in names:
            raise ValueError(f"[{said.name}] {action}: @ and ! exclude each other")
        who[action] = frozenset(names if by_policy else (name.lower() for name in names))
    try:
        return Section(re.compile(said.name), who)
    except re.error as error:
        raise ValueError(f"[{said.name}] is no pattern: {error}") from None
