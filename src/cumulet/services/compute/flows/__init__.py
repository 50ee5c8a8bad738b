# SPDX-License-Identifier: Apache-2.0
"""The slow actions of the compute service, as sagas."""

from __future__ import annotations

from cumulet.services.compute.flows import boot, create_image, delete, interfaces, power, volumes

FLOWS = (boot.FLOW, delete.FLOW, *create_image.FLOWS, *power.FLOWS, *volumes.FLOWS, *interfaces.FLOWS)
