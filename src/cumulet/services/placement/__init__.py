# SPDX-License-Identifier: Apache-2.0
"""Placement: who offers which resources, and who has claimed them (OpenStack's Placement, API 1.0 to 1.39)."""
