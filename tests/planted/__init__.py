# SPDX-License-Identifier: Apache-2.0
"""Faults planted on purpose: each machine that judges the code must turn red by them."""
