# SPDX-License-Identifier: Apache-2.0
"""NUMA nodes of guests: what flavor and image ask for, and how it fits on a host."""
