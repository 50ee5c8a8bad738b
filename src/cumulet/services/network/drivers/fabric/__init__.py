# SPDX-License-Identifier: Apache-2.0
"""The kernel fabric: bridges, nftables and router namespaces inside one private network namespace."""
