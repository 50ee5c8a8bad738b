# SPDX-License-Identifier: Apache-2.0
"""Compute: virtual servers and all that users do to them."""
