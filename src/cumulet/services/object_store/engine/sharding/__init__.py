# SPDX-License-Identifier: Apache-2.0
"""Containers that have grown are split into shards."""
