# SPDX-License-Identifier: Apache-2.0
"""What accounts, containers and objects do, and every feature of theirs."""
