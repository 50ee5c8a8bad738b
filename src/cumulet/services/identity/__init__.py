# SPDX-License-Identifier: Apache-2.0
"""Identity: who may do what, and where every service is found (OpenStack's Keystone, API v3)."""
