# SPDX-License-Identifier: Apache-2.0
"""Engines that turn a host's desired state into a working network."""
