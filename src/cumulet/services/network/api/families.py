# SPDX-License-Identifier: Apache-2.0
"""Resources that came to be together: what is served and announced of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cumulet.kernel.http import Route
from cumulet.services.network.api.resource import Resource


@dataclass(frozen=True)
class Family:
    """Resources, routes besides theirs, and the extensions whose behaviour that is.

    An extension's alias maps to its name and date, as neutron 29 announces them.
    """

    resources: tuple[Resource[Any], ...] = ()
    routes: tuple[Route, ...] = ()
    extensions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
