# SPDX-License-Identifier: Apache-2.0
"""A backup of what one machine keeps: who hands over what, and the file that it goes into."""
