# SPDX-License-Identifier: Apache-2.0
"""Devices that are folders of this machine."""
