# SPDX-License-Identifier: Apache-2.0
"""PCI devices of guests: what flavors ask for, and which of a host's there are for it."""
