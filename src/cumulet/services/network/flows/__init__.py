# SPDX-License-Identifier: Apache-2.0
"""Slow work of the network service. It needs no sagas: hosts converge to a state that follows from the rows."""

from cumulet.kernel.saga import Flow

FLOWS: tuple[Flow, ...] = ()
