# SPDX-License-Identifier: Apache-2.0
"""Images: what servers and volumes are made from (Glance)."""
