# SPDX-License-Identifier: Apache-2.0
"""The slow action of the key manager: carrying out an order."""

from cumulet.services.key_manager.flows import order

FLOWS = (order.FLOW,)
