# SPDX-License-Identifier: Apache-2.0
"""The machinery under every service; it knows none of them."""
