# SPDX-License-Identifier: Apache-2.0
"""The wire: one ASGI shell, one list of handlers, routes as data."""

from cumulet.kernel.http.message import Reply, Request
from cumulet.kernel.http.microversions import Microversions
from cumulet.kernel.http.routes import ANYONE, PUBLIC, Api, Route

__all__ = ["ANYONE", "PUBLIC", "Api", "Microversions", "Reply", "Request", "Route"]
