# SPDX-License-Identifier: Apache-2.0
"""Directories that users and groups may be in, outside of this cloud."""
