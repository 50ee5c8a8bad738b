# SPDX-License-Identifier: Apache-2.0
"""Secrets, keys and certificates (OpenStack's Barbican)."""
