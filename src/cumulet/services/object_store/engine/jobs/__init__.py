# SPDX-License-Identifier: Apache-2.0
"""What is done beside requests, again and again."""
