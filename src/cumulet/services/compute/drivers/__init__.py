# SPDX-License-Identifier: Apache-2.0
"""Hypervisors: one Protocol, the in-memory twin, QEMU."""
