# SPDX-License-Identifier: Apache-2.0
"""Cumulet: a complete OpenStack-compatible cloud in one package."""

__version__ = "0.1.0"
