# SPDX-License-Identifier: Apache-2.0
"""What objects, containers and accounts are."""
