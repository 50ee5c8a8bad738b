# SPDX-License-Identifier: Apache-2.0
"""Microversion negotiation, as the API special interest group's guideline has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cumulet.kernel.errors import Invalid, NotAcceptable

Version = tuple[int, int]

HEADER = "openstack-api-version"
_FORM = re.compile(r"([1-9]\d*)\.([1-9]\d*|0)")


@dataclass(frozen=True)
class Microversions:
    """The range that a service answers to.

    `name` is the service's word in the OpenStack-API-Version header, `legacy_header` an older header that holds the
    version alone. Without a header the least version is meant, unless `default` says another.
    """

    name: str
    least: Version
    most: Version
    legacy_header: str | None = None
    default: Version | None = None

    def negotiate(self, headers: Mapping[str, str]) -> Version:
        """The version that the caller asked for.

        Raises Invalid for a malformed one and NotAcceptable for one out of range.
        """
        asked = self._asked(headers)
        if asked is None:
            return self.default or self.least
        if asked == "latest":
            return self.most
        match = _FORM.fullmatch(asked)
        if match is None:
            raise Invalid(
                f"API Version String {asked} is of invalid format. Must be of format MajorNum.MinorNum.",
                code="InvalidAPIVersionString",
            )
        version = (int(match[1]), int(match[2]))
        if not self.least <= version <= self.most:
            raise NotAcceptable(
                f"Version {asked} is not supported by the API. Minimum is {text(self.least)} and "
                f"maximum is {text(self.most)}.",
                code="InvalidGlobalAPIVersion",
                least=text(self.least),
                most=text(self.most),
            )
        return version

    def headers(self, version: Version) -> dict[str, str]:
        """The headers that every answer carries."""
        headers = {"OpenStack-API-Version": f"{self.name} {text(version)}"}
        vary = "OpenStack-API-Version"
        if self.legacy_header:
            headers[self.legacy_header] = text(version)
            vary += f", {self.legacy_header}"
        return {**headers, "Vary": vary}

    def _asked(self, headers: Mapping[str, str]) -> str | None:
        for part in headers.get(HEADER, "").split(","):
            words = part.split()
            if len(words) == 2 and words[0].lower() == self.name:
                return words[1].lower()
        if self.legacy_header is not None:
            value = headers.get(self.legacy_header.lower())
            return value.strip().lower() if value is not None else None
        return None


def text(version: Version) -> str:
    """`2.104`"""
    return f"{version[0]}.{version[1]}"
