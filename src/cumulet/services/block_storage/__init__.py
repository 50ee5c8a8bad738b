# SPDX-License-Identifier: Apache-2.0
"""Block storage: volumes, their snapshots and their attachments (OpenStack's Cinder, API v3)."""
