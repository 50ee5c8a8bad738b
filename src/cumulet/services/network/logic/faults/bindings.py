# SPDX-License-Identifier: Apache-2.0
"""Refusals of ports' bindings."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, NotFound

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "PortBindingNotFound": (NotFound, "Binding for port {id} for host {host} could not be found."),
    "PortBindingAlreadyActive": (Conflict, "Binding for port {id} on host {host} is already active."),
    "PortBindingAlreadyExists": (Conflict, "Binding for port {id} on host {host} already exists."),
    "PortBindingError": (Conflict, "Binding for port {id} on host {host} could not be created or updated."),
    "PortBindingFailed": (Conflict, "Binding failed for port {id}, please check neutron logs for more information."),
}
