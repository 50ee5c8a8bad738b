# SPDX-License-Identifier: Apache-2.0
"""Recorded contracts: scenarios that are played on any OpenStack cloud, and what the cloud answered."""
