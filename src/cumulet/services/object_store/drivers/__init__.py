# SPDX-License-Identifier: Apache-2.0
"""What keeps objects, and the indexes of containers and accounts, on one device."""
