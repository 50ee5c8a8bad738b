# SPDX-License-Identifier: Apache-2.0
"""The slow actions of the image service."""

from cumulet.services.image.flows import image_import, location_import

FLOWS = (image_import.FLOW, location_import.FLOW)
