# SPDX-License-Identifier: Apache-2.0
"""Devices of other processes, of this host or another one, over one stream to each."""
