# SPDX-License-Identifier: Apache-2.0
"""What is done on several devices at once, so that the store is one."""
